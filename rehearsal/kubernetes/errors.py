"""The exception that ends a command with a message."""

from __future__ import annotations


class RehearsalError(Exception):
    """An error whose message is one sentence: the problem and its solution."""
