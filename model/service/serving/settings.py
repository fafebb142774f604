"""Settings from the environment: PREDICTION_*, and the customary PORT and WEB_CONCURRENCY."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model.service.contract.card import MODEL_FOLDER

PREFIX = "PREDICTION"
NUMBER = re.compile("[0-9]{1,12}")
MOST_BODY_BYTES = 1 << 36
# Valid as a header's value and long enough for the name of a host or pod.
INSTANCE_NAME = re.compile("[!-~](?:[ -~]{0,251}[!-~])?")

# Flask settings; each is overridden by PREDICTION_<name>.
DEFAULTS: Mapping[str, Any] = {
    "MODEL_FOLDER": str(MODEL_FOLDER),
    "HOST": "0.0.0.0",  # noqa: S104 - a container's own address is not known beforehand
    "THREADS": 4,
    "CONCURRENCY": 4,
    "MAX_BODY_BYTES": 64 << 20,
    "DRAIN_SECONDS": 8,
    "LEAVE_SECONDS": 3,
    "REQUEST_LOG": True,
}


class SettingsError(Exception):
    """A setting is invalid; the message names the variable and the accepted values."""


@dataclass(frozen=True)
class ServerSettings:
    """How the server runs.

    threads: the number of threads per worker reserved for single predictions and probes.
    concurrency: the number of other requests that a worker processes at once; while these make
        no progress, further ones are rejected.
    max_body_bytes: the maximum size of a request's body in bytes.
    drain_seconds: how long requests in progress may take to finish after SIGTERM.
    leave_seconds: for how long of that time requests are still answered, with each response
        closing its connection.
    instance: the name of this instance in responses and logs, or an empty string.
    """

    host: str
    port: int
    workers: int
    threads: int
    concurrency: int
    max_body_bytes: int
    drain_seconds: int
    leave_seconds: int
    request_log: bool
    instance: str


def server_settings(
    config: Mapping[str, Any], environment: Mapping[str, str] = os.environ
) -> ServerSettings:
    """Return the server's settings from Flask's config and the environment.

    Raises SettingsError.
    """
    request_log = config["REQUEST_LOG"]
    if not isinstance(request_log, bool):
        raise SettingsError(f"{PREFIX}_REQUEST_LOG must be true or false, not {request_log!r}.")
    return ServerSettings(
        host=_address(f"{PREFIX}_HOST", config["HOST"]),
        port=_whole("PORT", environment.get("PORT") or 8080, 1, 65535),
        workers=_whole("WEB_CONCURRENCY", environment.get("WEB_CONCURRENCY") or 1, 1, 64),
        threads=_whole(f"{PREFIX}_THREADS", config["THREADS"], 1, 64),
        concurrency=_whole(f"{PREFIX}_CONCURRENCY", config["CONCURRENCY"], 1, 64),
        max_body_bytes=_whole(
            f"{PREFIX}_MAX_BODY_BYTES", config["MAX_BODY_BYTES"], 1, MOST_BODY_BYTES
        ),
        drain_seconds=_whole(f"{PREFIX}_DRAIN_SECONDS", config["DRAIN_SECONDS"], 1, 1800),
        leave_seconds=_whole(f"{PREFIX}_LEAVE_SECONDS", config["LEAVE_SECONDS"], 0, 1800),
        request_log=request_log,
        instance=instance_name(environment.get("INSTANCE_NAME") or ""),
    )


def instance_name(value: str) -> str:
    """Return the value of INSTANCE_NAME, validated as a header's value.

    Raises SettingsError.
    """
    if value and not INSTANCE_NAME.fullmatch(value):
        raise SettingsError(
            "INSTANCE_NAME must be at most 253 printable ASCII characters, the first and the "
            f"last no spaces, not {value!r}."
        )
    return value


def _address(name: str, value: object) -> str:
    try:
        return str(ipaddress.ip_address(str(value)))
    except ValueError as error:
        raise SettingsError(
            f"{name} must be an IP address such as 0.0.0.0, :: or 127.0.0.1, not {value!r}."
        ) from error


def _whole(name: str, value: object, least: int, most: int) -> int:
    text = str(value)
    if not (NUMBER.fullmatch(text) and least <= int(text) <= most):
        raise SettingsError(f"{name} must be a whole number from {least} to {most}, not {value!r}.")
    return int(text)
