"""Which fixtures are tried again, in runs of pytest itself."""

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import subprocess
from support import passing
import pytest

TRIES = []

@pytest.fixture(scope="{scope}")
def made():
    TRIES.append("tried")
    if len(TRIES) <= {fails}:
        raise {error}
    yield "made"
    TRIES.append("removed")

def test_one(made):
    assert made == "made"

def test_two(made):
    assert made == "made"

def test_tries():
    assert TRIES == {tries}
"""


AGAIN = ["tried", "tried"]


@pytest.mark.parametrize(
    ("fixture", "tries", "outcome"),
    [
        (("module", "passing.NotUpError('no')", 1), AGAIN, {"passed": 3, "warnings": 1}),
        (("session", "TimeoutError()", 1), AGAIN, {"passed": 3, "warnings": 1}),
        (
            ("module", "subprocess.CalledProcessError(1, '')", 1),
            AGAIN,
            {"passed": 3, "warnings": 1},
        ),
        # A second failure is not transient; each of the fixture's tests reports it.
        (("module", "ConnectionError()", 9), AGAIN, {"passed": 1, "errors": 2, "warnings": 1}),
        # The product must work at the first attempt.
        (("module", "AssertionError()", 1), ["tried"], {"passed": 1, "errors": 2}),
        (("function", "OSError()", 1), [*AGAIN, "removed"], {"passed": 2, "errors": 1}),
    ],
)
def test_a_fixture_is_tried_again(pytester, fixture, tries, outcome):
    scope, error, fails = fixture
    pytester.makeconftest("from support.passing import pytest_fixture_setup")
    pytester.makepyfile(TESTS.format(scope=scope, error=error, fails=fails, tries=tries))
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    done.assert_outcomes(**outcome)
    if outcome.get("warnings"):
        done.stdout.fnmatch_lines(["*tried again: fixture made (*"])
