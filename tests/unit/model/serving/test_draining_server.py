"""When the server drains: which signal, which settings; test_main stops real servers."""

import signal
from dataclasses import replace

import pytest
from granian.constants import Interfaces
from granian.server import Server

from model.service.serving.server import DrainingServer
from model.service.serving.settings import DEFAULTS, server_settings

SETTINGS = replace(server_settings(DEFAULTS, {}), host="127.0.0.1", port=9)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replace granian's own shutdown; return the exit codes that it is called with."""
    codes: list[int] = []
    monkeypatch.setattr(Server, "shutdown", lambda _, code: codes.append(code))
    return codes


# Case: (the signal, PREDICTION_LEAVE_SECONDS, whether the server drains)
STOPS = {
    "SIGTERM": (signal.SIGTERM, 3, True),
    "SIGTERM without a leave": (signal.SIGTERM, 0, False),
    "Ctrl-C": (signal.SIGINT, 3, False),
    "workers that die again and again": (None, 3, False),
}


@pytest.mark.parametrize(("signal_", "leave", "drains"), STOPS.values(), ids=STOPS)
def test_what_drains(
    stopped: list[int],
    monkeypatch: pytest.MonkeyPatch,
    signal_: int | None,
    leave: int,
    drains: bool,
) -> None:
    settings = replace(SETTINGS, leave_seconds=leave, drain_seconds=8)
    server = DrainingServer(
        settings, target="app", port=9, interface=Interfaces.WSGI, workers_kill_timeout=8
    )
    asked: list[tuple[object, ...]] = []

    def take_leave(*limits: object) -> float:
        assert not stopped
        asked.append(limits)
        return 2.5

    monkeypatch.setattr(server.drain, "take_leave", take_leave)
    if signal_:
        server.signal_handler_interrupt(signal_, None)
        assert server.interrupt_signal
    server.shutdown(1)
    assert stopped == [1]
    assert asked == ([([], leave, 8)] if drains else [])
    # The workers get the rest of the time.
    assert server.workers_kill_timeout == (5.5 if drains else 8)


def test_a_worker_always_has_a_second_to_end(
    stopped: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, leave_seconds=8, drain_seconds=8)
    server = DrainingServer(settings, target="app", port=9, interface=Interfaces.WSGI)
    monkeypatch.setattr(server.drain, "take_leave", lambda *_: 8.1)
    server.signal_handler_interrupt(signal.SIGTERM, None)
    server.shutdown()
    assert stopped == [0]
    assert server.workers_kill_timeout == 1
