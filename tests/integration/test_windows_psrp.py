"""The real PSRP connection, to a port where no Windows answers: an error, and no hang."""

from __future__ import annotations

import http.server
from typing import TYPE_CHECKING

import pytest

from support import ROOT, loopback, ports
from support.ansible_run import Run, run_playbook

if TYPE_CHECKING:
    from collections.abc import Iterator


class Refuses(http.server.BaseHTTPRequestHandler):
    """A WinRM service that refuses every request."""

    # The connection is kept open during the negotiation.
    protocol_version = "HTTP/1.1"
    # Otherwise, a body waits for 40 ms until its headers are acknowledged.
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(self.headers.get("Authorization", ""))  # type: ignore[attr-defined]
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("WWW-Authenticate", 'Basic realm="WSMAN"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
    server.status = request.param  # type: ignore[attr-defined]
    server.asked = []  # type: ignore[attr-defined]
    with loopback.answering(server):
        yield server


def run(port: int) -> Run:
    return run_playbook(
        f"--inventory={ROOT}/inventory/windows.yml",
        str(ROOT / "site.yml"),
        "--tags=docker",
        "--limit=windows-machine",
        f"--extra-vars=ansible_port={port}",
        # The simplest options: HTTPS and Kerberos would only add possible errors.
        "--extra-vars=ansible_psrp_protocol=http ansible_psrp_auth=basic",
        "--extra-vars=ansible_psrp_message_encryption=never",
        '--extra-vars={"docker_host_windows_accept_license": true}',
        WINDOWS_CONNECTION="psrp",
        WINDOWS_HOST="127.0.0.1",
        WINDOWS_USER="ada",
        WINDOWS_PASSWORD="a-wrong-one",  # noqa: S106 - not a real one
        no_proxy="127.0.0.1",
    )


def told(ended: Run) -> str:
    """Check that the machine was unreachable and not changed; return the output."""
    stats = ended.report["stats"]["windows-machine"]
    assert (stats["unreachable"], stats["failures"], stats["changed"]) == (1, 0, 0), ended.text
    assert "a-wrong-one" not in ended.text
    return ended.text


@pytest.mark.parametrize(
    ("service", "said"), [(401, "authenticate"), (503, "503")], indirect=["service"]
)
def test_a_service_that_refuses(service, said):
    text = told(run(service.server_address[1]))
    assert said in text
    assert service.asked


def test_a_closed_port():
    assert "refused" in told(run(ports.closed()))
