"""Request IDs, which correlate a client's report, a response and a log line."""

import itertools
import re
import secrets
from collections.abc import Callable
from contextvars import ContextVar

HEADER = "X-Request-ID"
# IDs that are accepted from a client; any other ID is replaced.
ACCEPTED = re.compile("[A-Za-z0-9._-]{1,64}")
# The ID of the request that Flask is processing, for log records.
CURRENT: ContextVar[str] = ContextVar("request_id", default="")


def generator() -> Callable[[], str]:
    """Return a function that generates unique IDs; call this once in each process."""
    prefix = secrets.token_hex(6) + "-"
    numbers = itertools.count(1)
    return lambda: prefix + str(next(numbers))
