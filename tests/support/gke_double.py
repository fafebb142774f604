"""A double of Google's APIs for tests, with its own state, CA, key and free ports.

    with gke_double.running(tmp_path) as google:
        run(..., environment=google.environment)
        assert google.mutations() == []

Requests use sockets like those of a real client; `world` and `clock` are accessible because the
servers are threads of this process. Keyword arguments are settings of rehearsal.gke.double
(`project`, `token_seconds`, `endpoint` …) or of rehearsal.gke.model.settings. With
`rehearsal.gke.clock.StandingClock()` as `clock`, time only moves by
`google.clock.advance(seconds)`.

At the end of the block, the test fails if the double gave an answer that Google's API cannot give.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests

from rehearsal.gke import accounts, environment
from rehearsal.gke.call import Fault
from rehearsal.gke.clock import RealClock, StandingClock
from rehearsal.gke.double import Double, Settings
from rehearsal.gke.layout import Layout
from rehearsal.gke.server import Running
from support import google_keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rehearsal.gke.call import World
    from rehearsal.gke.double import MakeWorld

# Creating an account's key takes 50 ms: done only once per process.
accounts.make_account = functools.cache(accounts.make_account)
google_keys.trust()


@dataclass
class Google:
    """A running double."""

    double: Double
    server: Running

    @property
    def project(self) -> str:
        """ID of the only project."""
        return self.double.settings.project

    @property
    def email(self) -> str:
        """The service account's e-mail address."""
        return self.double.settings.service_account

    @property
    def key_file(self) -> Path:
        """The service account's key file."""
        return self.double.paths.key_file

    @property
    def authority(self) -> Path:
        """The CA certificate that clients must trust."""
        return self.double.paths.authority

    @property
    def proxy(self) -> str:
        """URL of the proxy through which googleapis.com is reached."""
        return self.server.proxy_url

    @property
    def plain(self) -> str:
        """URL of the plain HTTP server: /container/…, /tokenreview, /control/…."""
        return self.server.plain_url

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that make a client use the double, and log in with the key file."""
        return environment.for_ansible(self.double.paths, self.proxy, self.project)

    @property
    def gcloud_environment(self) -> dict[str, str]:
        """Environment variables that make gcloud use the double."""
        return environment.for_gcloud(self.double.paths, self.plain, self.project)

    @property
    def world(self) -> World:
        """The model of Google's side."""
        return self.double.world

    @property
    def clock(self) -> RealClock | StandingClock:
        """The clock of operations and tokens."""
        return self.double.clock

    def access_token(self, *scopes: str) -> str:
        """Return a valid token; the default scopes are the usual ones."""
        return self.double.access_token(scopes) if scopes else self.double.access_token()

    def fault(self, kind: str, **fields: Any) -> None:
        """Add a fault; fields as in rehearsal.gke.call.Fault."""
        self.double.faults.add(Fault(kind, **fields))

    def make_repository(self, name: str, location: str = "europe-west1") -> str:
        """Create a repository as if by others; return the prefix of its image references."""
        place = f"v1/projects/{self.project}/locations/{location}/repositories"
        with requests.Session() as session:
            session.trust_env = False
            session.post(
                f"{self.plain}/artifactregistry/{place}",
                params={"repositoryId": name},
                json={"format": "DOCKER"},
                headers={"Authorization": f"Bearer {self.access_token()}"},
                timeout=10,
            ).raise_for_status()
        # Advance until the repository exists.
        self.clock.advance(1)
        return f"{location}-docker.pkg.dev/{self.project}/{name}"

    def clear_faults(self) -> None:
        """Remove all faults."""
        self.double.faults.clear()

    def requests(self, *, mutating: bool | None = None) -> list[dict[str, Any]]:
        """Return the log, oldest entry first; fields as in rehearsal.gke.requestlog.Entry."""
        return self.double.log.entries(mutating=mutating)

    def mutations(self) -> list[dict[str, Any]]:
        """Return the logged requests that may have changed Google's state."""
        return self.requests(mutating=True)

    def forget_requests(self) -> None:
        """Empty the log."""
        self.double.log.clear()

    def invalid_answers(self) -> list[str]:
        """Return the problems of answers that Google could not have given."""
        return [
            entry["problem"]
            for entry in self.requests()
            if entry["problem"] and entry["status"] == 500
        ]


@contextlib.contextmanager
def running(
    folder: Path,
    *,
    clock: RealClock | StandingClock | None = None,
    make_world: MakeWorld | None = None,
    **settings: Any,
) -> Iterator[Google]:
    """Run a double whose files are in a subfolder of the given folder.

    Entering again with the same folder corresponds to a restart of the double.
    """
    paths = Layout(folder / "gke-double")
    double = Double(paths, Settings.of(settings), clock or RealClock(), make_world)
    server = Running(double, "127.0.0.1", proxy_port=0, plain_port=0)
    server.start()
    google = Google(double, server)
    try:
        yield google
    finally:
        server.stop()
    if problems := google.invalid_answers():
        raise AssertionError("\n".join(problems))
