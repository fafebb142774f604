"""Retrying, once and with a warning, fixtures that failed for a transient reason.

A fixture that several tests share is set up only once: if it fails, all of its tests fail.
Resources of the machine or the network may be available a moment later. The product itself must
work at the first attempt: a failed assertion is not retried.

The hook is active where a conftest.py imports it.
"""

from __future__ import annotations

import subprocess
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from _pytest import fixtures

if TYPE_CHECKING:
    from collections.abc import Generator

# `requests` and `urllib` raise subclasses of OSError.
REASONS = (OSError, subprocess.SubprocessError)


class NotUpError(OSError):
    """A resource of the tests did not start."""


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: Any
) -> Generator[None, Any, Any]:
    """Set up a fixture; retry once if the failure may be transient."""
    try:
        return (yield)
    except REASONS as error:
        if fixturedef.scope == "function":
            raise
        fixturedef.finish(request)
        said = f"tried again: fixture {fixturedef.argname} ({type(error).__name__}: {error})"
        warnings.warn(said, stacklevel=1)
        return fixtures.pytest_fixture_setup(fixturedef, request)
