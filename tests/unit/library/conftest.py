import gc
import sys
import warnings

import pytest

from support import real_engine


@pytest.fixture
def engine():
    made = real_engine.Engine()
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture
def no_engine(engine, monkeypatch):  # noqa: ARG001 - found before it is gone
    """No engine answers."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    with warnings.catch_warnings():
        # The Docker SDK does not close a socket that failed to connect.
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.fixture
def no_docker_package(monkeypatch):
    """The host's Python lacks the Docker SDK."""
    for name in ("docker", "docker.errors", "docker.auth", "docker.utils.build"):
        monkeypatch.setitem(sys.modules, name, None)
