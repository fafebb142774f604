"""What ends a command with one sentence."""

from __future__ import annotations


class RehearsalError(Exception):
    """One sentence: what is wrong, and what fixes it."""
