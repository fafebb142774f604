"""A seccomp filter that notifies a supervisor of each system call that names an address.

As a program, this module executes a command under that filter:
python -m rehearsal.run.filters WRITE READ COMMAND…: it writes its PID and the listener's descriptor
to the file descriptor WRITE, and waits for a byte on READ. The filter also applies to all processes
that COMMAND starts.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from dataclasses import dataclass

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_ASK = 0x7FC00000  # SECCOMP_RET_USER_NOTIF
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.ENOSYS
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16  # struct seccomp_data
_X32 = 0x40000000  # marks the numbers of the x32 ABI
_SET_FILTER, _NEW_LISTENER = 1, 8
_NO_NEW_PRIVILEGES = 38


@dataclass(frozen=True)
class Calls:
    """The system call numbers of an architecture (asm/unistd.h, linux/audit.h)."""

    architecture: int
    connect: int
    sendto: int
    sendmsg: int
    sendmmsg: int
    seccomp: int
    io_uring_setup: int = 425


PIDFD_GETFD = 438
_KNOWN = {
    "x86_64": Calls(0xC000003E, connect=42, sendto=44, sendmsg=46, sendmmsg=307, seccomp=317),
    "aarch64": Calls(0xC00000B7, connect=203, sendto=206, sendmsg=211, sendmmsg=269, seccomp=277),
}


def calls() -> Calls:
    """Return the system call numbers of this machine.

    :raises OSError: the architecture is not supported.
    """
    found = _KNOWN.get(platform.machine()) if sys.platform == "linux" else None
    if found is None:
        raise OSError(errno.ENOSYS, f"no filter for {platform.machine()} on {sys.platform}")
    return found


def program(of: Calls) -> list[bytes]:
    """Return the filter: notifies of connect, sendmsg, sendmmsg, and sendto with an address.

    Calls with another architecture's numbers and io_uring, which could bypass the filter, fail.
    """
    lines = [
        _statement(_LOAD, _ARCHITECTURE_AT),
        _jump(of.architecture, 1, 0),
        _statement(_RETURN, _REFUSE),
        _statement(_LOAD, _NUMBER_AT),
        _jump(_X32, 0, 1, _JUMP_IF_SET),
        _statement(_RETURN, _REFUSE),
    ]
    for number in (of.connect, of.sendmsg, of.sendmmsg):
        lines += _answer(number, _ASK)
    lines += _answer(of.io_uring_setup, _REFUSE)
    address = _ARGUMENTS_AT + 8 * 4
    return [
        *lines,
        _jump(of.sendto, 1, 0),
        _statement(_RETURN, _ALLOW),
        _statement(_LOAD, address),  # the two halves of a pointer
        _jump(0, 0, 2),
        _statement(_LOAD, address + 4),
        _jump(0, 1, 0),
        _statement(_RETURN, _ASK),
        _statement(_RETURN, _ALLOW),
    ]


def install() -> int:
    """Apply the filter to this thread and all that it starts; return the listener's descriptor.

    :raises OSError: the kernel does not permit it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    of = calls()
    lines = program(of)
    code = ctypes.create_string_buffer(b"".join(lines))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    given = Program(len(lines), ctypes.addressof(code))

    def ask() -> int:
        number: int = libc.syscall(of.seccomp, _SET_FILTER, _NEW_LISTENER, ctypes.byref(given))
        return number

    listener = ask()
    if listener < 0 and ctypes.get_errno() == errno.EACCES:
        # Required without CAP_SYS_ADMIN; as a consequence, sudo no longer grants privileges.
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        listener = ask()
    if listener < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return listener


def main(arguments: list[str]) -> None:
    """Install the filter and execute the command."""
    tell, hear, *command = arguments
    try:
        said = f"{os.getpid()} {install()}"
    except OSError as error:
        said = f"error {error.strerror}"
    os.write(int(tell), f"{said}\n".encode())
    if os.read(int(hear), 1):
        os.execvp(command[0], command)  # noqa: S606 - an argument list


def _statement(code: int, value: int) -> bytes:
    return struct.pack("HBBI", code, 0, 0, value)


def _jump(value: int, when_so: int, otherwise: int, code: int = _JUMP_IF_EQUAL) -> bytes:
    return struct.pack("HBBI", code, when_so, otherwise, value)


def _answer(number: int, answer: int) -> list[bytes]:
    return [_jump(number, 0, 1), _statement(_RETURN, answer)]


if __name__ == "__main__":
    main(sys.argv[1:])
