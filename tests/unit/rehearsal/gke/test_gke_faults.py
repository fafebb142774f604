"""Which requests a fault affects."""

from __future__ import annotations

import pytest

from rehearsal.gke.call import Fault
from rehearsal.gke.clock import StandingClock
from rehearsal.gke.faults import Faults, fault_from

CREATE = ("container", "container.projects.locations.clusters.create")
GET = ("container", "container.projects.locations.clusters.get")
DISKS = ("compute", "compute.disks.list")
TOKEN = ("token", "token")


@pytest.fixture
def clock():
    return StandingClock()


@pytest.fixture
def faults(clock):
    return Faults(clock)


def affected(faults, *requests):
    return [fault.kind if (fault := faults.take(*each)) else "" for each in requests]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("slow"), ["slow", "", "", "", ""]),
        (Fault("slow", count=None), ["slow"] * 5),
        (Fault("slow", count=2), ["slow", "slow", "", "", ""]),
        (Fault("slow", api="compute"), ["", "", "slow", "", ""]),
        (Fault("slow", api="token", count=None), ["", "", "", "slow", ""]),
        (Fault("slow", method=r"clusters\.get$"), ["", "slow", "", "", ""]),
        (Fault("slow", method=r"clusters\.create$", count=None), ["slow", "", "", "", "slow"]),
        (Fault("slow", method=r"clusters\.create$", after=1), ["", "", "", "", "slow"]),
        (Fault("slow", after=3, count=None), ["", "", "", "slow", "slow"]),
        (Fault("slow", count=0), [""] * 5),
    ],
)
def test_what_a_fault_befalls(faults, fault, expected):
    faults.add(fault)
    assert affected(faults, CREATE, GET, DISKS, TOKEN, CREATE) == expected


def test_fault_that_lasts(faults, clock):
    faults.add(Fault("unavailable", count=None, lasting=20))
    clock.advance(100)
    assert affected(faults, GET) == ["unavailable"]
    clock.advance(19)
    assert affected(faults, GET) == ["unavailable"]
    clock.advance(1)
    assert affected(faults, GET) == [""]


def test_faults_come_in_their_order(faults):
    faults.add(Fault("slow", api="compute"))
    faults.add(Fault("internal"))
    faults.add(Fault("unavailable"))
    assert affected(faults, GET, DISKS, GET, GET) == ["internal", "slow", "unavailable", ""]


def test_faults_can_be_seen_and_cleared(faults):
    faults.add(Fault("slow", after=1, count=3))
    affected(faults, GET, GET)
    (seen,) = faults.dump()
    assert (seen["kind"], seen["passed"], seen["affected"]) == ("slow", 1, 1)
    faults.clear()
    assert faults.dump() == []
    assert affected(faults, GET) == [""]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("earthquake"), "'earthquake' is no fault: rate-limit"),
        (Fault("slow", method="("), "no regular"),
    ],
)
def test_fault_that_there_is_not(faults, fault, message):
    with pytest.raises(ValueError, match=message):
        faults.add(fault)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"kind": "slow", "seconds": 1.5}, Fault("slow", seconds=1.5)),
        (
            {"kind": "rate-limit", "count": None, "retry_after": 3, "api": "container"},
            Fault("rate-limit", api="container", count=None, retry_after=3),
        ),
        (
            {"kind": "unavailable", "count": None, "lasting": 20},
            Fault("unavailable", count=None, lasting=20),
        ),
        (
            {"kind": "operation-error", "message": "no", "code": 8},
            Fault("operation-error", message="no", code=8),
        ),
    ],
)
def test_fault_as_json(arguments, fault):
    assert fault_from(arguments) == fault


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "A fault has a kind"),
        ({"kind": "slow", "delay": 1}, r"not \['delay'\]"),
        ({"kind": 3}, "kind cannot be 3"),
        ({"kind": "slow", "count": "all"}, "count cannot be 'all'"),
        ({"kind": "slow", "after": None}, "after cannot be None"),
        ({"kind": "slow", "seconds": "1"}, "seconds cannot be '1'"),
    ],
)
def test_json_that_is_no_fault(arguments, message):
    with pytest.raises(ValueError, match=message):
        fault_from(arguments)
