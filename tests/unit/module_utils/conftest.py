import pytest

from rehearsal.gke.clock import StandingClock
from support import gke_double, gke_examples


@pytest.fixture
def google(tmp_path, monkeypatch):
    """A double of Google's APIs whose clock advances only when something waits."""
    with gke_double.running(tmp_path, clock=StandingClock()) as running:
        for key, value in running.environment.items():
            monkeypatch.setenv(key, value)
        yield running


@pytest.fixture
def session(google):
    """A session on that double."""
    with gke_examples.on_google(google) as made:
        yield made
