"""A client of a World, by HTTP method and path, with schema validation of both directions."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

from rehearsal.gke import discovery
from rehearsal.gke.call import Call
from rehearsal.gke.model import World

NOW = 1_800_000_000.0
PROJECT = "acme"
NUMBER = "123456789012"
ZONE = "europe-west1-b"
ROOT = f"/v1/projects/{PROJECT}/locations/{ZONE}"
CLUSTERS = f"{ROOT}/clusters"
COMPUTE = f"/compute/v1/projects/{PROJECT}"
CALLER = "robot@acme.iam.gserviceaccount.com"


class Clock:
    """A clock that stands still."""

    def __init__(self):
        self.time = NOW

    def now(self):
        return self.time


class Client:
    """Calls the world, and fails if a request or a response violates Google's schemas."""

    def __init__(self, **settings):
        self.clock = Clock()
        self.world = World(self.clock, {"project": PROJECT, "project_number": NUMBER, **settings})

    def call(self, verb, path, body=None, *, host="", fault=None, caller=CALLER):
        path, _, query = path.partition("?")
        host = host or ("compute" if path.startswith("/compute/") else "container")
        meant = discovery.find(f"{host}.googleapis.com", verb, path)
        assert meant is not None, f"Google has no {verb} {path}"
        method = meant.method
        method.check_body(body)
        answer = self.world.call(
            Call(
                api=method.document.api,
                version=method.document.version,
                method_id=method.id,
                params={**meant.params, **method.query(parse_qs(query))},
                body=body,
                caller=caller,
                path=meant.pieces,
                operation=fault,
            )
        )
        json.dumps(self.world.dump())  # the whole state can be saved
        if answer.status == 200:
            assert method.answer_problems(answer.body) == []
        return answer

    def ok(self, verb, path, body=None, **options):
        answer = self.call(verb, path, body, **options)
        assert answer.status == 200, answer.body
        return answer.body

    def refused(self, verb, path, body=None, **options):
        """Return the status and the message of a refusal."""
        answer = self.call(verb, path, body, **options)
        assert answer.status != 200, answer.body
        assert answer.body["error"]["code"] == answer.status
        return answer.status, answer.body["error"]["message"]

    def wait(self, seconds=10.0):
        self.clock.time += seconds

    def done(self, verb, path, body=None, **options):
        """Start an operation and advance the clock; return the finished operation."""
        operation = self.ok(verb, path, body, **options)
        self.wait()
        where = operation["selfLink"].removeprefix("https://container.googleapis.com")
        shown = self.ok("GET", where)
        assert shown["status"] == "DONE"
        return shown

    def create(self, name="web", location=ZONE, **fields):
        """Create a cluster with the pool `main`; return it when it is ready."""
        cluster = {"name": name, **fields}
        if not {"nodePools", "initialNodeCount", "autopilot"} & set(fields):
            cluster["nodePools"] = [{"name": "main", "initialNodeCount": 2}]
        where = f"/v1/projects/{PROJECT}/locations/{location}/clusters"
        self.done("POST", where, {"cluster": cluster})
        return self.ok("GET", f"{where}/{name}")

    def cluster(self, name="web", location=ZONE):
        return self.ok("GET", f"/v1/projects/{PROJECT}/locations/{location}/clusters/{name}")

    def pool(self, name="main", cluster="web"):
        return self.ok("GET", f"{CLUSTERS}/{cluster}/nodePools/{name}")
