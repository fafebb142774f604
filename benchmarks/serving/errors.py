"""The exception that ends the benchmark."""

from __future__ import annotations


class MeasurementError(Exception):
    """A measurement failed or a prediction was wrong; the message is one sentence."""
