"""A TCP proxy that can hold, delay, reset or refuse what goes through it."""

import contextlib
import select
import socket
import struct
import threading
import time

PASS, SLOW, HANG, RESET, REFUSE = "pass", "slow", "hang", "reset", "refuse"
DELAY = 1.0  # seconds before each piece when slow


class Proxy:
    """Stands in front of a server on loopback; `mode` may change at any time.

    slow: each piece waits a second; hang: nothing is passed on and nothing closed; reset: open
    connections break with RST, and so do new ones; refuse: nobody listens.
    """

    def __init__(self, server: int) -> None:
        self._server, self._mode, self._open = server, PASS, set()
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def mode(self) -> str:
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        self._mode = mode
        if mode == REFUSE:
            self._listener.close()
        elif self._listener.fileno() == -1:
            self._listener = self._listen(self.port)
        if mode in (RESET, REFUSE):
            for each in list(self._open):
                _reset(each)

    def close(self) -> None:
        self._stopped.set()
        self._listener.close()
        self._thread.join(5)
        for each in list(self._open):
            _reset(each)

    @staticmethod
    def _listen(port: int) -> socket.socket:
        return socket.create_server(("127.0.0.1", port), backlog=64)

    def _accept(self) -> None:
        while not self._stopped.wait(0.01):
            try:
                if not select.select([self._listener], [], [], 0.1)[0]:
                    continue
                client, _ = self._listener.accept()
            except (OSError, ValueError):  # closed: refusing
                continue
            if self._mode == RESET:
                _reset(client)
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._server), timeout=5)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        self._open.add(one)
        with contextlib.suppress(OSError, ValueError):
            while piece := one.recv(65536):
                if self._mode == SLOW:
                    time.sleep(DELAY)
                while self._mode == HANG and not self._stopped.is_set():
                    time.sleep(0.05)
                other.sendall(piece)
        self._open.discard(one)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)  # wakes the thread that reads, which closes it
        connection.close()
