"""A world with three methods, for tests of the frontend."""

from __future__ import annotations

from rehearsal.gke.call import Answer, NotModelled, refusal

LIST = "container.projects.locations.clusters.list"
GET = "container.projects.locations.clusters.get"
CREATE = "container.projects.locations.clusters.create"
DELETE = "container.projects.locations.clusters.delete"


class TinyWorld:
    """Clusters exist immediately; operations cannot be queried."""

    def __init__(self, clock, settings):
        self.clock = clock
        self.settings = settings
        self.clusters = {}
        self.calls = []

    def call(self, call):
        self.calls.append(call)
        if call.method_id == LIST:
            return Answer(body={"clusters": list(self.clusters.values())})
        if call.method_id == GET:
            cluster = self.clusters.get(call.params["name"])
            return Answer(body=cluster) if cluster else refusal(404, "Not found", reason="notFound")
        if call.method_id == CREATE:
            cluster = dict(call.body["cluster"])
            self.clusters[f"{call.params['parent']}/clusters/{cluster['name']}"] = cluster
            return Answer(body={"name": "operation-1", "status": "RUNNING"})
        if call.method_id == DELETE:
            raise ZeroDivisionError("a mistake in the model")
        raise NotModelled(call.method_id)

    def dump(self):
        return {"clusters": self.clusters}

    def load(self, state):
        self.clusters = dict(state["clusters"])

    def control(self, action, arguments):
        if action != "forget":
            raise ValueError(f"no {action} here, but forget")
        del self.clusters[arguments["name"]]
        return {"left": len(self.clusters)}
