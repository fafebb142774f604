"""The tests' client of a cluster keeps no connection open."""

import gc
import json

from support import cluster_client
from support.api_server import Answer, serving

DISCOVERED = {
    "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.0"},
    "/api": {"versions": ["v1"]},
    "/apis": {"groups": []},
    "/api/v1": {"groupVersion": "v1", "resources": []},
}


def respond(request):
    if request.method == "POST":
        return Answer({"kind": "Namespace"}, 201)
    return Answer({"kind": "List", **DISCOVERED.get(request.path.rstrip("/"), {})})


def test_what_was_created_leaves_no_connection(tmp_path):
    """An unclosed socket fails the test in which it is collected, whichever that is."""
    with serving(respond) as server:
        path = tmp_path / "config"
        path.write_text(json.dumps(server.kubeconfig()))
        cluster_client.of(path, "here", tmp_path).create("/api/v1/namespaces", {"kind": "N"})
        cluster_client.close()
        assert cluster_client._clients == {}
        gc.collect()
    assert [request.method for request in server.requests].count("POST") == 1
