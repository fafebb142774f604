"""The first run of a new image's service finds what does not work."""

import http.server
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.image import first_run
from support import ROOT, loopback

CARD = {
    "name": "a model",
    "features": [
        {"name": "size", "kind": "number", "nullable": False, "median": 1.5},
        {"name": "rooms", "kind": "integer", "nullable": False, "median": 2.5},
        {"name": "lift", "kind": "boolean", "nullable": True, "categories": ["false", "true"]},
        {"name": "place", "kind": "category", "nullable": False, "categories": ["a, b"]},
        {"name": "note", "kind": "text", "nullable": True},
    ],
    "plots": ["residuals.svg"],
}
QUERY = "/prediction/?size=1.5&rooms=2&lift=false&place=a%2C+b"


class Service(http.server.BaseHTTPRequestHandler):
    """Answers each request with the card, and with status 500 if its path is `failing`."""

    failing = ""
    asked: list[str]

    def do_GET(self) -> None:
        """Answer with the card, or fail."""
        body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
        self.asked.append(f"{self.path} {body}".strip())
        self.send_response(500 if self.path == self.failing else 200)
        self.end_headers()
        self.wfile.write(json.dumps(CARD).encode())

    do_POST = do_GET  # noqa: N815 - the name that the library calls

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - as inherited
        """Log nothing."""


@pytest.fixture
def service() -> Iterator[tuple[type[Service], int]]:
    class Handler(Service):
        asked: list[str] = []  # noqa: RUF012 - one list per test

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with loopback.answering(server):
        yield Handler, server.server_port


def test_everything_is_asked(service: tuple[type[Service], int]) -> None:
    handler, port = service
    assert first_run.ask_all(port) == []
    row = {"size": 1.5, "rooms": 2, "lift": False, "place": "a, b", "note": None}
    assert {
        QUERY,
        "/model/plots/residuals.svg",
        "/v2/models/a%20model/ready",
        f"/v1/predictions {json.dumps({'records': [row]})}",
        '/v1/predictions size,rooms,lift,place,note\n1.5,2,false,"a, b",',
    } <= {*handler.asked}


@pytest.mark.parametrize("path", ["/docs", QUERY, "/v1/predictions"])
def test_a_server_error_is_told(service: tuple[type[Service], int], path: str) -> None:
    handler, port = service
    handler.failing = path
    failed = first_run.ask_all(port)
    assert failed
    assert all(line.startswith(f"The service answered {path} (") for line in failed)
    assert all(line.endswith("with 500.") for line in failed)


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", first_run.__file__],
        cwd=ROOT,
        env=os.environ | {"PREDICTION_MODEL_FOLDER": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_service_that_serves(model_folder: Path) -> None:
    done = run(model_folder)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_service_that_does_not_start(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 1
    assert "card.json: train the model first" in done.stderr
    assert done.stderr.endswith("The service did not start with this model.\n")
