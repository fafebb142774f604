"""A kubeconfig that clients interpret differently: the whole run uses the rules of kubectl."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import yaml

from support import connect_proxy
from support.workload_play import playing

if TYPE_CHECKING:
    from pathlib import Path

    from support.real_cluster import Cluster

HIDDEN = "cluster.invalid:6443"
DEPLOYER = "deployer@example.com"
ELSEWHERE = {
    "current-context": "elsewhere",
    "contexts": [{"name": "elsewhere", "context": {"cluster": "elsewhere"}}],
    "clusters": [{"name": "elsewhere", "cluster": {"server": "https://127.0.0.1:1"}}],
}


def test_all_goes_by_the_first_file_its_proxy_and_its_user(
    cluster: Cluster, tmp_path: Path
) -> None:
    """The official client uses the last file's context, and ignores proxy-url and `as`."""
    config = yaml.safe_load(cluster.kubeconfig.read_text(encoding="utf-8"))
    [there] = [one["cluster"] for one in config["clusters"]]
    [user] = [one["user"] for one in config["users"]]
    real = urlsplit(there["server"])
    places = {HIDDEN: f"{real.hostname}:{real.port or 443}"}
    with connect_proxy.running(places) as proxy, playing(cluster, tmp_path) as play:
        there |= {
            "server": f"https://{HIDDEN}",
            "tls-server-name": real.hostname,
            "proxy-url": proxy.url,
        }
        user |= {"as": DEPLOYER, "as-groups": ["team", "system:masters"]}
        paths = [tmp_path / "first", tmp_path / "last"]
        for path, content in zip(paths, (config, ELSEWHERE), strict=True):
            path.write_text(yaml.safe_dump(content), encoding="utf-8")
        play.variables |= {
            "kubernetes_kubeconfig": ":".join(map(str, paths)),
            "kubernetes_context": "",
        }
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
        events = [
            event
            for event in cluster.audit(play.namespace)
            if event.get("userAgent", "").startswith(("docker-ml-api", "OpenAPI-Generator"))
        ]
    assert set(proxy.asked) == {HIDDEN}
    assert {"create", "delete", "get", "list", "patch"} <= {event["verb"] for event in events}
    acting = [event.get("impersonatedUser", {}) for event in events]
    assert {one.get("username") for one in acting} == {DEPLOYER}
    assert all({"team", "system:masters"} <= set(one["groups"]) for one in acting)
