"""Names for requests, by which a client's report, an answer and a log line are put together."""

import itertools
import re
import secrets
from collections.abc import Callable
from contextvars import ContextVar

HEADER = "X-Request-ID"
# What is taken from a client; anything else is replaced.
ACCEPTED = re.compile("[A-Za-z0-9._-]{1,64}")
# Of the request that Flask works on, for what is logged meanwhile.
CURRENT: ContextVar[str] = ContextVar("request_id", default="")


def generator() -> Callable[[], str]:
    """Return what makes ids, each of which is unique; call it once in each process."""
    prefix = secrets.token_hex(6) + "-"
    numbers = itertools.count(1)
    return lambda: prefix + str(next(numbers))
