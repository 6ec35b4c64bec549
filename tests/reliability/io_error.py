"""Makes a process's own disk fail: its kernel answers EIO, as a broken disk or mount would.

A seccomp filter (seccomp(2), mode FILTER) needs no rights and no tool, holds for every library
however it writes, and ends with the process.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2
ALLOW, ERRNO = 0x7FFF0000, 0x00050000 | errno.EIO
LOAD, EQUAL, GREATER, RETURN = 0x20, 0x15, 0x25, 0x06
NUMBER, ARCHITECTURE, FIRST, THIRD = 0, 4, 16, 32  # offsets in struct seccomp_data

# Audit number of the architecture; calls that write to a descriptor; calls that move a name.
CALLS = {
    "x86_64": (0xC000003E, (1, 18, 20, 296), (82, 86, 264, 265, 316)),
    "aarch64": (0xC00000B7, (64, 66, 68, 70), (37, 38, 276)),
}
# What threads say to each other goes through descriptors too, eight bytes at a time.
WORD = 8


def break_disk(what: str) -> None:
    """Let every write to a file, or every rename and link, of this process fail from now on.

    Parameters
    ----------
    what : {"write", "move"}
    """
    audit, writes, moves = CALLS[platform.machine()]
    calls = writes if what == "write" else moves
    program = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, audit), (RETURN, 0, 0, ALLOW)]
    program.append((LOAD, 0, 0, NUMBER))
    program += [(EQUAL, len(calls) - i, 0, call) for i, call in enumerate(calls)]
    program.append((RETURN, 0, 0, ALLOW))
    if what == "write":  # not what the process says, nor what its threads tell each other
        program += [(LOAD, 0, 0, FIRST), (GREATER, 1, 0, 2), (RETURN, 0, 0, ALLOW)]
        program += [(LOAD, 0, 0, THIRD), (GREATER, 1, 0, WORD), (RETURN, 0, 0, ALLOW)]
    program.append((RETURN, 0, 0, ERRNO))
    _install(b"".join(struct.pack("HBBI", *each) for each in program), len(program))


def _install(code: bytes, length: int) -> None:
    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    libc = ctypes.CDLL(None, use_errno=True)
    held = ctypes.create_string_buffer(code)
    given = Program(length, ctypes.addressof(held))
    for arguments in ((NO_NEW_PRIVS, 1, 0, 0, 0), (SET_SECCOMP, FILTER, ctypes.byref(given), 0, 0)):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), f"prctl{arguments[:2]}")
