"""Specifications of GKE clusters, and running modules against a double of Google's APIs."""

from __future__ import annotations

import contextlib
import gc
import importlib
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.docker_ml_api.gke import (
    cluster_options,
    comparison,
    create_request,
    operations,
    urls,
)
from ansible.module_utils.docker_ml_api.gke import live as gke_live
from ansible.module_utils.docker_ml_api.google import api

from support import gke_double
from support.run_module import run_module

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pytest

LOCATION = "europe-west1-b"
NAME = "hello-cluster"


def options(*pools: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """Return the option `cluster` as users write it; without pools, it has one, `main`."""
    given = [dict(one) for one in pools] or [{}]
    named = [{"name": "main", "nodes": 2, **one} for one in given]
    if values.get("mode") == cluster_options.AUTOPILOT:
        named = []
    return {"name": NAME, "location": LOCATION, "node_pools": named, **values}


def wanted(*pools: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """Return the option as a module gets it, with all suboptions."""
    result = ArgumentSpecValidator(cluster_options.ARGUMENTS).validate(
        {"cluster": options(*pools, **values)}
    )
    assert not result.error_messages
    cluster: dict[str, Any] = result.validated_parameters["cluster"]
    return cluster


class Gke:
    """Runs modules against a double of Google's APIs."""

    def __init__(
        self, google: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.google = google
        self.capsys = capsys
        for key, value in google.environment.items():
            monkeypatch.setenv(key, value)

    def run(self, module: str, **given: Any) -> dict[str, Any]:
        return run_module(importlib.import_module(module), self.capsys, **given)

    def done(self, module: str, **given: Any) -> dict[str, Any]:
        """Run a module that must not fail."""
        answer = self.run(module, **given)
        assert not answer.get("failed"), answer["msg"]
        return answer

    def changes(self, cluster: Mapping[str, Any], **given: Any) -> dict[str, Any]:
        return self.done("gke_cluster_changes", cluster=cluster, **given)

    def ready(self, cluster: Mapping[str, Any], **given: Any) -> dict[str, Any]:
        return self.done("gke_cluster_ready", cluster=cluster, **given)

    def update(self, updates: Sequence[Mapping[str, Any]], **given: Any) -> dict[str, Any]:
        place = {"name": NAME, "location": LOCATION, **given}
        return self.done("gke_cluster_update", updates=updates, **place)

    def google_cloud(self, module: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Run an unchanged module of google.cloud."""
        return self.done(f"ansible_collections.google.cloud.plugins.modules.{module}", **parameters)

    def create(self, one: Mapping[str, Any], place: Mapping[str, Any], pool: str = "") -> None:
        """Create a cluster or pool as specified by the changes."""
        if one["by"] == "api":
            self.done("gke_cluster_create", pool=pool, body=one["body"], **place)
            return
        module = "gcp_container_node_pool" if pool else "gcp_container_cluster"
        self.google_cloud(module, one["parameters"])

    def apply(self, cluster: Mapping[str, Any], **given: Any) -> dict[str, Any]:
        """Apply all changes in their order; return the changes."""
        found = self.changes(cluster, **given)
        place = {"name": cluster["name"], "location": cluster["location"]}
        if found["create"]["cluster"]:
            self.create(found["create"]["cluster"], place)
            self.ready(cluster, pools=[])
        self.update(found["updates"], **place)
        self.update(found["replace"]["pools"], **place)
        for pool in found["create"]["pools"]:
            self.create(pool, place, pool["name"])
        self.update(found["delete"], **place)
        self.ready(cluster)
        return found

    def calls(self) -> list[str]:
        """Return the API methods of the logged mutating calls."""
        return calls(self.google)


@contextlib.contextmanager
def on_google(google: Any, **given: Any) -> Iterator[api.GoogleSession]:
    """Yield a session on the double, whose sleep advances the double's clock."""
    params = {"auth_kind": "serviceaccount", "service_account_file": str(google.key_file)}
    session = api.GoogleSession(
        {"project": google.project, **params, **given},
        clock=google.clock.now,
        sleep=google.clock.advance,
    )
    try:
        yield session
    finally:
        session.close()


def plan(session: api.GoogleSession, cluster: Mapping[str, Any], **given: Any) -> Any:
    """Return the result of the comparison with the live cluster."""
    live = gke_live.find(session, cluster["location"], cluster["name"], cluster_options.OWNER)
    now = datetime.now(UTC)
    return comparison.plan(cluster, live, session.project, cluster_options.OWNER, now, **given)


def make(session: api.GoogleSession, cluster: Mapping[str, Any]) -> None:
    """Create a cluster with one request and without google.cloud."""
    body = create_request.cluster_body(
        cluster, session.project, cluster_options.OWNER, datetime.now(UTC)
    )
    if not cluster_options.is_autopilot(cluster):
        body = {k: v for k, v in body.items() if k not in ("initialNodeCount", "nodeConfig")}
        body["nodePools"] = [
            create_request.pool_body(one, cluster) for one in cluster["node_pools"]
        ]
    place = cluster["location"]
    url = urls.clusters(session.project, place)
    operation = session.request("POST", url, {"cluster": body})
    operations.wait(session, place, operation, operations.Deadline(session, 600))


def calls(google: Any) -> list[str]:
    """Return the API methods of the mutating requests that the double has received."""
    found = [one["method_id"] for one in google.mutations()]
    return [one.removeprefix("container.projects.locations.") for one in found]


@contextlib.contextmanager
def quick_google(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, **given: Any
) -> Iterator[Gke]:
    """Yield modules on a double whose operations take little real time."""
    kinds = ("create_cluster", "create_pool", "update", "delete")
    quick = {f"{kind}_seconds": 0.05 for kind in kinds}
    with gke_double.running(folder, **{**quick, **given}) as google, left_connections():
        yield Gke(google, capsys, monkeypatch)


@contextlib.contextmanager
def left_connections() -> Iterator[None]:
    """Ignore connections that a module of google.cloud leaves open after a timeout."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
