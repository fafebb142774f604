"""Kubeconfigs that clients read by rules of their own: all of a run goes by one of them, kubectl's."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import yaml

from support import connect_proxy
from support.workload_play import playing

if TYPE_CHECKING:
    from pathlib import Path

    from support.real_cluster import Cluster

DEPLOYER = "deployer@example.com"
HIDDEN = "cluster.invalid:6443"


def test_all_goes_by_the_first_file_and_as_the_user_it_names(
    cluster: Cluster, tmp_path: Path
) -> None:
    """The official client takes the last file's context, and does not read `as`."""
    first = yaml.safe_load(cluster.kubeconfig.read_text(encoding="utf-8"))
    [user] = [one["user"] for one in first["users"]]
    user |= {"as": DEPLOYER, "as-groups": ["team", "system:masters"]}
    last = {
        "current-context": "elsewhere",
        "contexts": [{"name": "elsewhere", "context": {"cluster": "elsewhere"}}],
        "clusters": [{"name": "elsewhere", "cluster": {"server": "https://127.0.0.1:1"}}],
    }
    paths = [tmp_path / "first", tmp_path / "last"]
    for path, content in zip(paths, (first, last), strict=True):
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with playing(cluster, tmp_path) as play:
        play.variables |= {
            "kubernetes_kubeconfig": ":".join(map(str, paths)),
            "kubernetes_context": "",
        }
        play.app("app", "one")
        play.workload("web")
        play.workload("scaled", autoscale={"min_replicas": 1, "max_replicas": 2})
        play.succeed("--tags=workloads,check")
        del play.workloads["scaled"]["autoscale"]
        assert "workload : Remove objects that are no longer part of a workload" in (
            play.succeed().changed
        )
        play.succeed("--tags=teardown")
        events = [
            event
            for event in cluster.audit(play.namespace)
            if event["userAgent"].startswith(("docker-ml-api", "OpenAPI-Generator"))
        ]
    assert {"create", "delete", "get", "list", "patch"} <= {event["verb"] for event in events}
    acting = [event.get("impersonatedUser", {}) for event in events]
    assert {one.get("username") for one in acting} == {DEPLOYER}
    assert all({"team", "system:masters"} <= set(one["groups"]) for one in acting)


def test_all_goes_by_the_proxy(cluster: Cluster, tmp_path: Path) -> None:
    config = yaml.safe_load(cluster.kubeconfig.read_text(encoding="utf-8"))
    [there] = [one["cluster"] for one in config["clusters"]]
    real = urlsplit(there["server"])
    places = {HIDDEN: f"{real.hostname}:{real.port or 443}"}
    with connect_proxy.running(places) as proxy, playing(cluster, tmp_path) as play:
        there |= {
            "server": f"https://{HIDDEN}",
            "tls-server-name": real.hostname,
            "proxy-url": proxy.url,
        }
        kubeconfig = tmp_path / "proxied"
        kubeconfig.write_text(yaml.safe_dump(config), encoding="utf-8")
        play.variables["kubernetes_kubeconfig"] = str(kubeconfig)
        play.app("app", "one")
        play.workload("web")
        play.workload("scaled", autoscale={"min_replicas": 1, "max_replicas": 2})
        assert "workload : Apply the objects" in play.succeed().changed
        assert play.answer("web") == "one"

        del play.workloads["scaled"]["autoscale"]
        assert "workload : Remove objects that are no longer part of a workload" in (
            play.succeed().changed
        )
        play.succeed("--tags=check")
        play.succeed("--tags=teardown")
        assert play.objects() == set()
    assert set(proxy.asked) == {HIDDEN}
