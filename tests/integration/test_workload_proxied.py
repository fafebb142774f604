"""A cluster that is reached by its kubeconfig's `proxy-url` alone: by all of a run."""

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
