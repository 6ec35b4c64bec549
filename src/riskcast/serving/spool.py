"""Every answered forecast, on disk before its answer is sent; jobs/drain takes it to the lake.

An answer is one line appended to a segment, a file that this process alone writes and holds
locked; a reader takes a segment only when it gets the lock, so when the writer has sealed it or
is dead. The write reaches the kernel before the answer leaves, so that kill -9 of the process
loses nothing that was answered; against power failure segments are synced once a second, as
Redis' ``appendfsync everysec``. Syncing before each answer would cost a disk's latency on every
request, for a failure after which the clients must ask again anyway.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any
from uuid import uuid4

import orjson

from riskcast.core.clock import seconds
from riskcast.core.errors import SpoolFailed

SUFFIX = ".jsonl"
SYNC_EVERY = 1.0  # seconds
SEAL_AFTER = 60.0  # seconds since a segment was begun
SEAL_BYTES = 16 * 1024 * 1024
ROOM_BYTES = 64 * 1024  # that must be free before a full disk counts as writable again

log = logging.getLogger(__name__)


class Spool:
    """Segments of one slot below `folder`; one process writes, any process may drain.

    Parameters
    ----------
    folder : Path
        Made on `start`.
    seal_after : float
        Seconds after which a segment with an answer in it is sealed.
    """

    def __init__(self, folder: Path, *, seal_after: float = SEAL_AFTER) -> None:
        self._folder, self._seal_after = folder, seal_after
        self._lock = Lock()  # between answers and sealing
        self._file: int | None = None
        self._size = self._synced = 0
        self._begun = 0.0
        self._stopped = Event()
        self._thread: Thread | None = None
        self.fault = ""

    def start(self) -> None:
        """Begin a segment and keep it synced.

        Raises
        ------
        SpoolFailed
            If the folder cannot be written.
        """
        with self._lock:
            self._begin()
        self._thread = Thread(target=self._keep, name="spool", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Sync and seal."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            self._close(file)

    def append(self, answer: Mapping[str, Any]) -> None:
        """Write one answer; it survives the process when this returns.

        Raises
        ------
        SpoolFailed
            If it could not be written whole; then nothing of it stays and the answer must not
            be sent.
        """
        line = orjson.dumps(answer, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)
        with self._lock:
            file = self._begin() if self._file is None else self._file
            try:
                written = os.write(file, line)
                if written < len(line):
                    os.ftruncate(file, self._size)
                    raise OSError(f"{written} of {len(line)} bytes written")
            except OSError as error:
                self.fault = f"{self._folder} cannot be written: {error}; is the disk full?"
                raise SpoolFailed(self.fault) from error
            self._size += written
            self.fault = ""

    def _begin(self) -> int:
        """Open a segment, under the lock; its name appears only once its file is locked."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = self._folder / f"{uuid4().hex}.draft"
            file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            draft.rename(draft.with_suffix(SUFFIX))
        except OSError as error:
            self.fault = f"no segment can be begun in {self._folder}: {error}"
            raise SpoolFailed(self.fault) from error
        self._file, self._size, self._synced, self._begun = file, 0, 0, seconds()
        return file

    def _keep(self) -> None:
        """Sync what was written and seal what is old, until stopped."""
        while not self._stopped.wait(SYNC_EVERY):
            if self.fault and self._room():
                self.fault = ""
            with self._lock:
                file, size = self._file, self._size
                aged = seconds() - self._begun > self._seal_after or size > SEAL_BYTES
                if sealing := (size > 0 and aged):
                    self._file = None  # the next answer begins another
            if file is None or (size == self._synced and not sealing):
                continue
            if sealing:
                self._close(file)
            else:
                self._sync(file)
                self._synced = size

    def _room(self) -> bool:
        """Whether there is room again: whoever is not ready may never be asked to answer."""
        probe = self._folder / f"{uuid4().hex}.draft"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with probe.open("xb") as file:
                os.posix_fallocate(file.fileno(), 0, ROOM_BYTES)
        except OSError:
            return False
        finally:
            probe.unlink(missing_ok=True)
        return True

    def _close(self, file: int) -> None:
        self._sync(file)
        os.close(file)  # gives the lock up

    def _sync(self, file: int) -> None:
        try:
            os.fsync(file)
        except OSError as error:
            log.error("%s could not be synced: %s", self._folder, error)
            self.fault = f"{self._folder} could not be synced: {error}"
