"""Modules and sessions on a double of Google's APIs, whose clock advances when they sleep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.gke import urls
from ansible.module_utils.docker_ml_api.google import api

from support.run_module import run_module

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    import pytest

OURS = {"managed-by": "docker-ml-api"}
NAME, LOCATION = "hello-cluster", "europe-west1-b"
_DONE = "DONE"


class Site:
    """A project at the double; `slept` is the total time that its sessions waited, in seconds."""

    def __init__(
        self,
        google: Any,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.google = google
        self.capsys = capsys
        self.monkeypatch = monkeypatch
        self.slept = 0.0
        for key, value in google.environment.items():
            monkeypatch.setenv(key, value)
        site = self

        class Session(api.GoogleSession):  # type: ignore[misc]
            """A session like that of a module, but with the double's clock."""

            def __init__(self, params: Mapping[str, Any]) -> None:
                super().__init__(params, clock=google.clock.now, sleep=site.sleep)

        monkeypatch.setattr(api, "GoogleSession", Session)
        self.session = Session(
            {
                "project": google.project,
                "auth_kind": "serviceaccount",
                "service_account_file": str(google.key_file),
            }
        )

    def sleep(self, seconds: float) -> None:
        """Advance the double's clock instead of sleeping."""
        self.slept += seconds
        self.google.clock.advance(seconds)

    def run(self, module: ModuleType, *, check: bool = False, **options: Any) -> dict[str, Any]:
        """Run a module and return its result."""
        return run_module(module, self.capsys, _ansible_check_mode=check, **options)

    def begin(
        self,
        name: str = NAME,
        location: str = LOCATION,
        labels: Mapping[str, str] | None = None,
        **cluster: Any,
    ) -> dict[str, Any]:
        """Start the creation of a cluster; return the operation."""
        pool = {
            "name": "main",
            "initialNodeCount": 1,
            "config": {"machineType": "e2-small"},
        }
        labels = OURS if labels is None else labels
        body = {"name": name, "resourceLabels": labels, "nodePools": [pool], **cluster}
        url = urls.clusters(self.google.project, location)
        return self.session.request("POST", url, {"cluster": body})

    def create(self, name: str = NAME, location: str = LOCATION, **cluster: Any) -> dict[str, Any]:
        """Create a cluster; return it as in the API."""
        self.finish(self.begin(name, location, **cluster))
        found = self.cluster(name, location)
        assert found
        return found

    def finish(self, operation: Mapping[str, Any]) -> None:
        """Advance the clock until an operation ends."""
        url = urls.operations(self.google.project, operation["zone"])
        while operation["status"] != _DONE:
            self.google.clock.advance(1)
            operation = self.session.get(f"{url}/{operation['name']}")

    def cluster(self, name: str = NAME, location: str = LOCATION) -> dict[str, Any] | None:
        """Return the cluster as in the API, or None."""
        return self.session.find(urls.cluster(self.google.project, location, name))

    def delete(self, name: str = NAME, location: str = LOCATION) -> dict[str, Any]:
        """Start the deletion of a cluster; return the operation."""
        url = urls.cluster(self.google.project, location, name)
        return self.session.request("DELETE", url)

    def direct(self, action: str, **arguments: Any) -> dict[str, Any]:
        """Perform an action of the rehearsal's director."""
        return self.google.world.control(action, arguments)

    def mutations(self) -> list[str]:
        """Return the API methods of the logged mutating calls."""
        return [
            one["method_id"].rpartition("projects.locations.")[2] for one in self.google.mutations()
        ]
