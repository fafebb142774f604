"""A real registry that requires a login, like a private repository of a public registry."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rehearsal.kubernetes import configuration
from support import ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USERNAME = "tom"
PASSWORD = "s3cret"  # noqa: S105 - of a registry that lives as long as a test
_HTPASSWD = "tom:$2y$05$B0Ofxib5WgTndKFjmE3PoOYQZesROV6mC1wNJQzanwN7TEpGOEIhy\n"
# Direct requests, regardless of proxies in the environment or set by other tests.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_STARTS_WITHIN = 60.0


@dataclass(frozen=True)
class Registry:
    """The registry's address and its log."""

    host: str
    log: Path

    def requests(self) -> list[str]:
        """Return the requests as 'METHOD path', in order."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        quoted = [line.split('"')[1] for line in lines if line.startswith("127.0.0.1 - ")]
        return [request.rpartition(" HTTP/")[0] for request in quoted]

    def writes(self) -> list[str]:
        """Return the requests that change something."""
        return [line for line in self.requests() if not line.startswith(("GET ", "HEAD "))]


@contextlib.contextmanager
def running(folder: Path, *, private: bool = True) -> Iterator[Registry]:
    """Run Debian's docker-registry on a loopback port during the context."""
    program = shutil.which("docker-registry")
    assert program, "These tests need a registry: apt-get install docker-registry"
    folder.mkdir(parents=True, exist_ok=True)
    host = f"127.0.0.1:{ports.free()}"
    (folder / "htpasswd").write_text(_HTPASSWD, encoding="utf-8")
    htpasswd = folder / "htpasswd" if private else None
    settings = configuration.registry(host, folder / "data", htpasswd)
    (folder / "config.yml").write_text(json.dumps(settings), encoding="utf-8")
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "serve", str(folder / "config.yml")], stdout=output, stderr=output
        )
    try:
        _wait_for(f"http://{host}/v2/", process)
        yield Registry(host, log)
    finally:
        process.terminate()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _STARTS_WITHIN
    while True:
        try:
            _OPENER.open(url).close()
        except urllib.error.HTTPError as answer:
            answer.close()
            return
        except OSError:
            assert process.poll() is None, "The registry did not start."
            assert time.monotonic() < end, "The registry did not answer."
            time.sleep(0.05)
        else:
            return
