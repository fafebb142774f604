"""The filter, executed instruction by instruction as in the kernel."""

import struct

import pytest

from rehearsal.run import filters

ASK, ALLOW, REFUSE = 0x7FC00000, 0x7FFF0000, 0x00050026
X86, ARM = filters._KNOWN["x86_64"], filters._KNOWN["aarch64"]


def verdict(calls, architecture, number, address=0):
    """Return the program's result; its instructions load a word, jump or return."""
    data = struct.pack("=iIQ6Q", number, architecture, 0, 3, 0, 0, 0, address, 0)
    lines = [struct.unpack("HBBI", line) for line in filters.program(calls)]
    at, word = 0, 0
    while True:
        code, when_so, otherwise, value = lines[at]
        at += 1
        if code == 0x20:
            (word,) = struct.unpack_from("=I", data, value)
        elif code == 0x15:
            at += when_so if word == value else otherwise
        elif code == 0x45:
            at += when_so if word & value else otherwise
        else:
            assert code == 0x06
            return value


@pytest.mark.parametrize("calls", [X86, ARM])
@pytest.mark.parametrize(
    ("name", "address", "expected"),
    [
        ("connect", 0, ASK),
        ("sendmsg", 0, ASK),
        ("sendmmsg", 0, ASK),
        ("sendto", 0, ALLOW),
        ("sendto", 0x1000, ASK),
        ("sendto", 0x7F0000000000, ASK),  # the lower half of the pointer is zero
        ("io_uring_setup", 0, REFUSE),
        ("seccomp", 0, ALLOW),
    ],
)
def test_calls_that_name_an_address_are_asked_about(calls, name, address, expected):
    number = getattr(calls, name)
    assert verdict(calls, calls.architecture, number, address) == expected


def test_numbers_of_another_architecture_are_no_way_round():
    assert verdict(X86, 0x40000003, 362) == REFUSE  # connect, of 32 bits
    assert verdict(X86, ARM.architecture, ARM.connect) == REFUSE
    assert verdict(X86, X86.architecture, X86.connect | 0x40000000) == REFUSE  # x32
