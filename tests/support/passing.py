"""Fixtures that failed for a reason that passes: they are tried again, once, and it is said.

A fixture of more than one test is made once; when it fails, all of its tests fail with it. What
it needs of the machine and of the network may be there the next moment. What the product does is
right the first time or wrong: an assertion that failed is not tried again.

The hook works where a conftest.py imports it.
"""

from __future__ import annotations

import subprocess
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from _pytest import fixtures

if TYPE_CHECKING:
    from collections.abc import Generator

# `requests` and `urllib` raise kinds of OSError.
REASONS = (OSError, subprocess.SubprocessError)


class NotUpError(OSError):
    """What tests work on did not come up."""


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: Any
) -> Generator[None, Any, Any]:
    """Make a fixture, once more if that may help."""
    try:
        return (yield)
    except REASONS as error:
        if fixturedef.scope == "function":
            raise
        fixturedef.finish(request)
        said = f"tried again: fixture {fixturedef.argname} ({type(error).__name__}: {error})"
        warnings.warn(said, stacklevel=1)
        return fixtures.pytest_fixture_setup(fixturedef, request)
