#!/usr/bin/env python3
"""Write the images that test an engine on Windows if no registry can be reached.

Each image is an archive for `docker import` that contains one program of a few machine
instructions, which prints a line and exits. A Windows machine itself has no program that a Linux
container could run.
"""

from __future__ import annotations

import io
import struct
import tarfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "roles" / "docker_host" / "files"
MESSAGE = b"The engine runs containers.\n"

# The program's address in memory, and its offset in the file: after both headers.
BASE, START = 0x400000, 64 + 56
WRITE, EXIT = {"x86_64": 1, "arm64": 64}, {"x86_64": 60, "arm64": 93}
MACHINES = {"x86_64": 62, "arm64": 183}


def x86_64() -> bytes:
    """write(1, message, length), then exit(0)."""
    after = 34
    code = b"".join(
        (
            b"\xb8" + struct.pack("<I", WRITE["x86_64"]),  # mov eax
            b"\xbf" + struct.pack("<I", 1),  # mov edi
            b"\xbe" + struct.pack("<I", BASE + START + after),  # mov esi
            b"\xba" + struct.pack("<I", len(MESSAGE)),  # mov edx
            b"\x0f\x05",  # syscall
            b"\xb8" + struct.pack("<I", EXIT["x86_64"]),  # mov eax
            b"\xbf" + struct.pack("<I", 0),  # mov edi
            b"\x0f\x05",  # syscall
        )
    )
    assert len(code) == after  # noqa: S101  # the message follows
    return code + MESSAGE


def arm64() -> bytes:
    """write(1, message, length), then exit(0)."""

    def mov(register: int, value: int) -> int:
        return 0xD2800000 | value << 5 | register

    supervisor_call = 0xD4000001
    after = 32
    # The message's address relative to the second instruction, in words.
    adr = 0x10000000 | ((after - 4) // 4) << 5 | 1
    words = (
        mov(0, 1),
        adr,
        mov(2, len(MESSAGE)),
        mov(8, WRITE["arm64"]),
        supervisor_call,
        mov(0, 0),
        mov(8, EXIT["arm64"]),
        supervisor_call,
    )
    return struct.pack("<8I", *words) + MESSAGE


def program(architecture: str) -> bytes:
    """Return a complete ELF program."""
    code = {"x86_64": x86_64, "arm64": arm64}[architecture]()
    size = START + len(code)
    identification = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = identification + struct.pack(
        "<HHIQQQIHHHHHH", 2, MACHINES[architecture], 1, BASE + START, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    # One segment, readable and executable: the whole file.
    piece = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 0x10000)
    return header + piece + code


def archive(architecture: str) -> bytes:
    """Return the image's archive, byte for byte reproducible."""
    content = program(architecture)
    entry = tarfile.TarInfo("hello")
    entry.size, entry.mode = len(content), 0o755
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(entry, io.BytesIO(content))
    return written.getvalue()


def main() -> None:
    """Write the images to the role's files."""
    for architecture in MACHINES:
        (FOLDER / f"proof-{architecture}.tar").write_bytes(archive(architecture))


if __name__ == "__main__":
    main()
