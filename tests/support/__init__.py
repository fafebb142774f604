"""Helpers of the tests: plays, servers, doubles, examples, the order of tests."""

from pathlib import Path

# The project's folder.
ROOT = Path(__file__).resolve().parents[2]
