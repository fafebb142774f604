"""Start the service in a new image and request each endpoint once.

If a request fails, so does the build of the image. The requests also import every module that the
service uses, at startup or later, so that the bytecode of all of them is written.
"""

import csv
import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

MANY = 2000
STARTS_WITHIN = ENDS_WITHIN = 60.0  # seconds
TYPES = ("application/json", "text/html", "text/csv", "application/openmetrics-text")


def main() -> None:
    """Start the service, send the requests and stop it; exit with a message if anything fails."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"PORT": str(port), "PREDICTION_HOST": "127.0.0.1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen([sys.executable, "-m", "model.main"], env=environment)
    try:
        _wait_ready(port, process)
        failed = ask_all(port)
    finally:
        process.terminate()
        status = process.wait(ENDS_WITHIN)
    if failed or status:
        sys.exit("\n".join([*failed, f"The service ended with exit code {status}."]))


def _wait_ready(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + STARTS_WITHIN
    while _status(port, "/isAlive") != HTTPStatus.OK:
        if process.poll() is not None or time.monotonic() > end:
            sys.exit("The service did not start with this model.")
        time.sleep(0.05)


def ask_all(port: int) -> list[str]:
    """Return a line for each request that failed with a server error or without a response."""
    card = json.loads(_body(port, "/model"))
    name = quote(card["name"])
    row = {feature["name"]: _typical(feature) for feature in card["features"]}
    query = urlencode({key: _text(value) for key, value in row.items() if value is not None})
    columns = {key: [value] for key, value in row.items()}
    many = {key: [value] * MANY for key, value in row.items()}
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(
        map(_text, line) for line in (row, row.values())
    )
    asked = [
        *((path, None, "") for path in ("/prediction/", f"/prediction/?{query}", "/nowhere")),
        *(("/model", None, accept) for accept in TYPES),
        *((f"/model/plots/{plot}", None, "") for plot in card.get("plots", [])),
        *((path, None, "") for path in ("/", "/docs", "/openapi.json")),
        *(("/metrics", None, accept) for accept in TYPES),
        *((f"/v2{path}", None, "") for path in ("", "/health/live", "/health/ready")),
        *((f"/v2/models/{name}{path}", None, "") for path in ("", "/ready")),
        (f"/v2/models/{name}/infer", ("application/json", b"{}"), ""),
        *(
            ("/v1/predictions", (kind, content.encode()), accept)
            for kind, content in (
                ("application/json", json.dumps({"records": [row]})),
                ("application/json", json.dumps({"columns": columns})),
                # A large document imports modules that a small one does not.
                ("application/json", json.dumps({"columns": many})),
                ("text/csv", table.getvalue().strip()),
            )
            for accept in TYPES
        ),
    ]
    answers = [(path, accept, _status(port, path, body, accept)) for path, body, accept in asked]
    return [
        f"The service answered {path} (Accept: {accept}) with {status}."
        for path, accept, status in answers
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == 0
    ]


def _typical(feature: Mapping[str, Any]) -> Any:
    """Return a typical value of a feature of the card: the median or the first category."""
    match feature["kind"]:
        case "number":
            return feature["median"]
        case "integer":
            return int(feature["median"])
        case "boolean":
            return feature["categories"][0] == "true"
        case "category":
            return feature["categories"][0]
    return None if feature["nullable"] else "text"


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else "" if value is None else str(value)


def _status(port: int, path: str, body: tuple[str, bytes] | None = None, accept: str = "") -> int:
    """Return the HTTP status of the response, or 0 if the request failed without one."""
    headers = {"Accept": accept} if accept else {}
    if body:
        headers["Content-Type"] = body[0]
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data=body and body[1], headers=headers
    )
    try:
        with _opener().open(request, timeout=STARTS_WITHIN) as response:
            response.read()
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


def _body(port: int, path: str) -> bytes:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", headers={"Accept": "application/json"}
    )
    with _opener().open(request, timeout=STARTS_WITHIN) as response:
        return bytes(response.read())


def _opener() -> urllib.request.OpenerDirector:
    """Return a URL opener that ignores the proxy settings of the build environment."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


if __name__ == "__main__":
    main()
