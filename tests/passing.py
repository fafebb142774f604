"""Fixtures that failed for a reason that passes: they are tried again, once, and it is said.

A fixture of more than one test is made once; when it fails, all of its tests fail with it. What
it needs of the machine and of the network may be there the next moment. What the product does is
right the first time or wrong: an assertion that failed is not tried again.
"""

from __future__ import annotations

import subprocess
import warnings
from typing import TYPE_CHECKING, Any

from _pytest.fixtures import pytest_fixture_setup

if TYPE_CHECKING:
    import pytest

# `requests` and `urllib` raise kinds of OSError.
REASONS = (OSError, subprocess.SubprocessError)


class NotUpError(OSError):
    """What tests work on did not come up."""


def tried_again(
    error: Exception, definition: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Any:
    """Make the fixture once more if that may help; raise the error if not."""
    if definition.scope == "function" or not isinstance(error, REASONS):
        raise error
    definition.finish(request)  # type: ignore[arg-type] # it is the request of a fixture
    said = f"tried again: fixture {definition.argname} ({type(error).__name__}: {error})"
    warnings.warn(said, stacklevel=1)
    return pytest_fixture_setup(definition, request)  # type: ignore[arg-type]
