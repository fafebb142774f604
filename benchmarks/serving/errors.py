"""What ends the benchmark."""

from __future__ import annotations


class MeasurementError(Exception):
    """Something could not be measured, or an answer was wrong; one sentence says what."""
