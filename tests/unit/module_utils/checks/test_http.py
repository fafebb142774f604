"""What a failed request means, and when a proxy is used.

The requests themselves are tested with the module, against real servers.
"""

import errno
import http.client
import os
import socket
import ssl
import threading
from urllib.error import URLError

import pytest
from ansible.module_utils.docker_ml_api.checks.http import (
    bounded,
    explain,
    is_loopback,
    proxied,
)


def os_error(number):
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("error", "kind", "heals"),
    [
        (URLError(os_error(errno.ECONNREFUSED)), "nothing_listens", True),
        (os_error(errno.ECONNRESET), "dropped", True),
        (os_error(errno.EPIPE), "dropped", True),
        (os_error(errno.ECONNABORTED), "dropped", True),
        (http.client.RemoteDisconnected("gone"), "dropped", True),
        (http.client.IncompleteRead(b"", 5), "dropped", True),
        (URLError(ssl.SSLEOFError(8, "EOF")), "dropped", True),
        (URLError(ssl.SSLZeroReturnError(6, "closed")), "dropped", True),
        (URLError(TimeoutError("timed out")), "timed_out", True),
        (URLError(os_error(errno.ETIMEDOUT)), "timed_out", True),
        (URLError(os_error(errno.EHOSTUNREACH)), "unreachable", True),
        (URLError(os_error(errno.ENETUNREACH)), "unreachable", False),
        (URLError(os_error(errno.EACCES)), "unreachable", False),
        (URLError(OSError("Tunnel connection failed: 403 Forbidden")), "unreachable", False),
        (URLError("unknown url type: x"), "unreachable", False),
        (URLError(socket.gaierror(socket.EAI_NONAME, "unknown")), "name_unknown", False),
        (URLError(socket.gaierror(socket.EAI_AGAIN, "later")), "name_unknown", True),
        (URLError(ssl.SSLCertVerificationError(1, "self-signed")), "certificate", False),
        (URLError(ssl.SSLError(1, "wrong version number")), "tls", False),
        (http.client.BadStatusLine("SSH-2.0"), "not_http", False),
        (http.client.LineTooLong("header line"), "not_http", False),
    ],
)
def test_explain(error, kind, heals):
    if isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
        error.reason.verify_message = "self-signed certificate"
    failed = explain(error, "model:80", 5.0)
    assert (failed.kind, failed.heals) == (kind, heals)
    assert "model:80" in str(failed)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("app.localhost", True),
        ("127.0.0.1", True),
        ("127.0.10.7", True),
        ("::1", True),
        ("::1%lo", True),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_is_loopback(host, loopback):
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("http://example.com/", {"http_proxy": "http://proxy:1"}, True),
        ("http://example.com/", {"https_proxy": "http://proxy:1"}, False),
        ("https://example.com/", {"https_proxy": "http://proxy:1"}, True),
        ("http://127.0.10.1:8080/", {"http_proxy": "http://proxy:1"}, False),
        ("http://example.com/", {"http_proxy": "http://proxy:1", "no_proxy": ".com"}, False),
        ("http://example.com/", {}, False),
    ],
)
def test_proxied(url, environment, expected, monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxied(url) is expected


def test_bounded_returns_what_the_work_returns():
    assert bounded(lambda: 42, 30) == 42


def test_bounded_raises_what_the_work_raises():
    with pytest.raises(ZeroDivisionError):
        bounded(lambda: 1 // 0, 30)


def test_bounded_does_not_wait_for_work_that_hangs():
    release = threading.Event()
    with pytest.raises(TimeoutError):
        bounded(release.wait, 0.01)
    release.set()
