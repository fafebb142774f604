"""Settings: accepted values, and the error messages for all others."""

from typing import Any

import pytest

from model.service.serving.settings import (
    DEFAULTS,
    ServerSettings,
    SettingsError,
    instance_name,
    server_settings,
)


def test_defaults() -> None:
    assert server_settings(DEFAULTS, {}) == ServerSettings(
        host="0.0.0.0",  # noqa: S104
        port=8080,
        workers=1,
        threads=4,
        concurrency=4,
        max_body_bytes=67_108_864,
        drain_seconds=8,
        leave_seconds=3,
        request_log=True,
        instance="",
    )


@pytest.mark.parametrize(
    ("config", "environment", "name", "value"),
    [
        ({"HOST": "127.0.0.1"}, {}, "host", "127.0.0.1"),
        ({"HOST": "::"}, {}, "host", "::"),
        ({}, {"PORT": "1"}, "port", 1),
        ({}, {"PORT": "65535"}, "port", 65535),
        ({}, {"PORT": ""}, "port", 8080),
        ({}, {"WEB_CONCURRENCY": "4"}, "workers", 4),
        ({"THREADS": 64}, {}, "threads", 64),
        ({"DRAIN_SECONDS": 1800}, {}, "drain_seconds", 1800),
        ({"LEAVE_SECONDS": 0}, {}, "leave_seconds", 0),
        ({"REQUEST_LOG": False}, {}, "request_log", False),
        ({"CONCURRENCY": 64}, {}, "concurrency", 64),
        ({"MAX_BODY_BYTES": 1}, {}, "max_body_bytes", 1),
        ({"MAX_BODY_BYTES": 1 << 36}, {}, "max_body_bytes", 68_719_476_736),
        ({}, {"INSTANCE_NAME": "pod-1"}, "instance", "pod-1"),
        ({}, {"INSTANCE_NAME": ""}, "instance", ""),
    ],
)
def test_accepted(
    config: dict[str, Any], environment: dict[str, str], name: str, value: Any
) -> None:
    assert getattr(server_settings({**DEFAULTS, **config}, environment), name) == value


@pytest.mark.parametrize(
    ("config", "environment", "complaint"),
    [
        ({"HOST": "localhost"}, {}, "PREDICTION_HOST must be an IP address such as 0.0.0.0, ::"),
        ({"HOST": ""}, {}, "PREDICTION_HOST must be an IP address"),
        ({}, {"PORT": "0"}, "PORT must be a whole number from 1 to 65535, not '0'."),
        ({}, {"PORT": "65536"}, "PORT must be a whole number from 1 to 65535, not '65536'."),
        ({}, {"PORT": "http"}, "PORT must be a whole number from 1 to 65535, not 'http'."),
        ({}, {"PORT": "tcp://10.0.0.1:80"}, "PORT must be"),
        ({}, {"PORT": "-1"}, "PORT must be"),
        ({}, {"PORT": "8_080"}, "PORT must be"),
        ({}, {"PORT": "٨٠"}, "PORT must be"),
        ({}, {"PORT": "9" * 5000}, "PORT must be"),
        ({}, {"WEB_CONCURRENCY": "0"}, "WEB_CONCURRENCY must be a whole number from 1 to 64"),
        ({"THREADS": 1.5}, {}, "PREDICTION_THREADS must be a whole number from 1 to 64, not 1.5."),
        ({"THREADS": True}, {}, "PREDICTION_THREADS must be"),
        (
            {"DRAIN_SECONDS": 0},
            {},
            "PREDICTION_DRAIN_SECONDS must be a whole number from 1 to 1800",
        ),
        (
            {"LEAVE_SECONDS": -1},
            {},
            "PREDICTION_LEAVE_SECONDS must be a whole number from 0 to 1800, not -1.",
        ),
        ({"REQUEST_LOG": "on"}, {}, "PREDICTION_REQUEST_LOG must be true or false, not 'on'."),
        ({"CONCURRENCY": 0}, {}, "PREDICTION_CONCURRENCY must be a whole number from 1 to 64"),
        (
            {"MAX_BODY_BYTES": "64M"},
            {},
            "PREDICTION_MAX_BODY_BYTES must be a whole number from 1 to 68719476736, not '64M'.",
        ),
        ({}, {"INSTANCE_NAME": "a\nb"}, "INSTANCE_NAME must be at most 253 printable ASCII"),
    ],
)
def test_refused(config: dict[str, Any], environment: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        server_settings({**DEFAULTS, **config}, environment)
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize("name", ["", "x", "diabetes-api-7d9f8-x2x4k", "a b", "~", "x" * 253])
def test_instance_names(name: str) -> None:
    assert instance_name(name) == name


@pytest.mark.parametrize("name", [" ", " x", "x ", "x\n", "a\r\nb", "a\tb", "é", "٨", "x" * 254])
def test_no_instance_names(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        instance_name(name)
    assert str(caught.value) == (
        "INSTANCE_NAME must be at most 253 printable ASCII characters, the first and the last "
        f"no spaces, not {name!r}."
    )
