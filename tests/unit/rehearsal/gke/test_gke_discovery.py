"""Requests are resolved and checked with Google's own discovery documents."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from rehearsal.gke import discovery
from rehearsal.gke.discovery import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONTAINER = "container.googleapis.com"
CLUSTERS = "container.projects.locations.clusters"
POOLS = f"{CLUSTERS}.nodePools"
ZONAL = "container.projects.zones.clusters"
CLUSTER = "projects/p/locations/l/clusters/c"
CLUSTER_PIECES = {"projectsId": "p", "locationsId": "l", "clustersId": "c"}
DOCUMENTS = [
    "container.v1",
    "compute.v1",
    "serviceusage.v1",
    "iamcredentials.v1",
    "oauth2.v2",
    "artifactregistry.v1",
    "cloudresourcemanager.v1",
    "cloudresourcemanager.v3",
    "iam.v1",
]


@pytest.mark.parametrize(
    ("request_line", "method_id", "params", "pieces"),
    [
        (f"GET {CONTAINER}/v1/{CLUSTER}", f"{CLUSTERS}.get", {"name": CLUSTER}, CLUSTER_PIECES),
        (
            f"POST {CONTAINER}/v1/{CLUSTER}:setResourceLabels",
            f"{CLUSTERS}.setResourceLabels",
            {"name": CLUSTER},
            CLUSTER_PIECES,
        ),
        (
            f"POST {CONTAINER}/v1/projects/p/locations/l/clusters",
            f"{CLUSTERS}.create",
            {"parent": "projects/p/locations/l"},
            {"projectsId": "p", "locationsId": "l"},
        ),
        (
            f"PUT {CONTAINER}/v1/{CLUSTER}/nodePools/a",
            f"{POOLS}.update",
            {"name": f"{CLUSTER}/nodePools/a"},
            {**CLUSTER_PIECES, "nodePoolsId": "a"},
        ),
        (
            f"POST {CONTAINER}/v1/{CLUSTER}/nodePools/a:setSize",
            f"{POOLS}.setSize",
            {"name": f"{CLUSTER}/nodePools/a"},
            {**CLUSTER_PIECES, "nodePoolsId": "a"},
        ),
        (
            f"POST {CONTAINER}/v1/projects/p/zones/z/clusters/c/resourceLabels",
            f"{ZONAL}.resourceLabels",
            {"projectId": "p", "zone": "z", "clusterId": "c"},
            {"projectId": "p", "zone": "z", "clusterId": "c"},
        ),
        (
            "GET compute.googleapis.com/compute/v1/projects/p/zones/z/disks",
            "compute.disks.list",
            {"project": "p", "zone": "z"},
            {"project": "p", "zone": "z"},
        ),
        (
            "DELETE www.googleapis.com/compute/v1/projects/p/global/firewalls/f",
            "compute.firewalls.delete",
            {"project": "p", "firewall": "f"},
            {"project": "p", "firewall": "f"},
        ),
        ("GET www.googleapis.com/oauth2/v2/userinfo", "oauth2.userinfo.get", {}, {}),
        (
            "GET serviceusage.googleapis.com/v1/projects/p/services/container.googleapis.com",
            "serviceusage.services.get",
            {"name": "projects/p/services/container.googleapis.com"},
            {"v1Id": "projects", "v1Id1": "p", "servicesId": "container.googleapis.com"},
        ),
        (
            "GET artifactregistry.googleapis.com/v1/projects/p/locations/l/repositories/a%2Fb",
            "artifactregistry.projects.locations.repositories.get",
            None,
            None,
        ),
        (
            "GET cloudresourcemanager.googleapis.com/v3/projects/p",
            "cloudresourcemanager.projects.get",
            {"name": "projects/p"},
            {"projectsId": "p"},
        ),
    ],
)
def test_request_means_a_method(request_line, method_id, params, pieces):
    http_method, url = request_line.split(" ")
    host, slash, path = url.partition("/")
    meant = discovery.find(host, http_method, slash + path)
    if params is None:  # an encoded slash would be part of a name, but is not allowed in this one
        assert meant is None
        return
    assert (meant.method.id, meant.params) == (method_id, params)
    if "serviceusage" not in host:
        assert meant.pieces == pieces


@pytest.mark.parametrize(
    "request_line",
    [
        f"PATCH {CONTAINER}/v1/{CLUSTER}",
        f"GET {CONTAINER}/v1/projects/p/clusters",
        f"GET {CONTAINER}/v2/{CLUSTER}",
        f"GET {CONTAINER}/{CLUSTER}",
        f"GET {CONTAINER}/v1/{CLUSTER}/",
        f"POST {CONTAINER}/v1/{CLUSTER}:explode",
        "GET compute.googleapis.com/v1/projects/p/zones/z/disks",
        "GET compute.googleapis.com/compute/v1/projects/p/zones/Z/disks",
        "GET www.googleapis.com/v1/nothing",
        f"GET storage.googleapis.com/v1/{CLUSTER}",
    ],
)
def test_request_that_google_has_no_method_for(request_line):
    http_method, url = request_line.split(" ")
    host, slash, path = url.partition("/")
    assert discovery.find(host, http_method, slash + path) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/container/v1/projects", (CONTAINER, "/v1/projects")),
        ("/compute/v1/projects", ("compute.googleapis.com", "/compute/v1/projects")),
        ("/oauth2/token", ("oauth2.googleapis.com", "/token")),
        ("/storage/v1/b", ("", "/storage/v1/b")),
        ("/", ("", "/")),
    ],
)
def test_plain_path_names_its_api(path, expected):
    assert discovery.from_prefix(path) == expected


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_method_of_a_document_can_be_resolved(name):
    """Each pattern compiles, and no method hides another one."""
    document = discovery.document(name)
    values = itertools.cycle(["a1"])
    for method in document.methods.values():
        flat = method.resource.get("flatPath", method.resource["path"])
        path = document.base + discovery._PLACEHOLDER.sub(lambda _: next(values), flat)
        found = document.find(method.resource["httpMethod"], path)
        if found is None:  # its parameters require other values than a1
            assert "pattern" in str(method.resource["parameters"])
        else:
            same = found.method.resource
            assert (same["path"], same["httpMethod"]) == (
                method.resource["path"],
                method.resource["httpMethod"],
            ) or same.get("flatPath") == flat


def unlike(schema: Mapping[str, Any], seen: set[str]) -> dict[str, Any]:
    """Return a schema with only those of its properties that are unlike all in `seen`.

    They are added to `seen`. Compute has 5,900 properties of 800 kinds.
    """
    properties = {}
    for name, each in schema.get("properties", {}).items():
        said = re.sub(r'"typeOf": "[^"]*"', "", json.dumps(each))
        kind = "a reference" if "$ref" in each else said
        if kind not in seen:
            seen.add(kind)
            properties[name] = unlike(each, seen)
    return {**schema, "properties": properties} if "properties" in schema else schema


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for each in schema.values():
            yield from references(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from references(each)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_schemas_of_a_document_are_json_schema(name):
    document = discovery.document(name)
    for schemas in (document.requests, document.answers):
        some = next(iter(document.methods.values())).resource["response"]["$ref"]
        validator = schemas._validator(some)
        known, seen = validator.schema["$defs"], set()
        assert set(references(validator.schema)) <= {f"#/$defs/{each}" for each in known}
        different = {each: unlike(schema, seen) for each, schema in known.items()}
        validator.check_schema({**validator.schema, "$defs": different})


@pytest.mark.parametrize(
    ("method_id", "mutating"),
    [
        (f"{CLUSTERS}.list", False),
        (f"{CLUSTERS}.create", True),
        (f"{CLUSTERS}.update", True),
        (f"{CLUSTERS}.delete", True),
        (f"{POOLS}.setSize", True),
        ("cloudresourcemanager.projects.testIamPermissions", False),
        ("cloudresourcemanager.projects.getIamPolicy", False),
        ("cloudresourcemanager.projects.setIamPolicy", True),
        ("iamcredentials.projects.serviceAccounts.generateAccessToken", False),
        ("oauth2.tokeninfo", False),
        ("serviceusage.services.enable", True),
        ("compute.disks.delete", True),
        ("artifactregistry.projects.locations.repositories.create", True),
    ],
)
def test_what_may_change_something(method_id, mutating):
    api = method_id.split(".")[0]
    (name, *_) = (each for each in DOCUMENTS if each.startswith(f"{api}."))
    assert discovery.document(name).methods[method_id].mutating is mutating


LIST_DISKS = ("compute.v1", "compute.disks.list")
ALL_DISKS = ("compute.v1", "compute.disks.aggregatedList")
LIST_SUBNETS = ("container.v1", "container.projects.aggregated.usableSubnetworks.list")


@pytest.mark.parametrize(
    ("method", "query", "expected"),
    [
        (LIST_DISKS, {"maxResults": ["5"], "filter": ["a", "b"]}, {"maxResults": 5, "filter": "b"}),
        (ALL_DISKS, {"includeAllScopes": ["true"]}, {"includeAllScopes": True}),
        (LIST_DISKS, {"alt": ["json"], "prettyPrint": ["false"], "$.xgafv": ["1"]}, {}),
        (LIST_SUBNETS, {"pageSize": ["7"]}, {"pageSize": 7}),
        (
            ("serviceusage.v1", "serviceusage.services.batchGet"),
            {"names": ["a", "b"]},
            {"names": ["a", "b"]},
        ),
        (LIST_DISKS, {"maxResults": ["many"]}, "Invalid value at 'maxResults' (TYPE_UINT32)"),
        (ALL_DISKS, {"includeAllScopes": ["perhaps"]}, '(TYPE_BOOL), "perhaps"'),
        (LIST_DISKS, {"nonsense": ["1"]}, "Field 'nonsense' could not be found"),
        (LIST_DISKS, {"zone": ["a"]}, "Cannot bind query parameter"),
        (
            ("compute.v1", "compute.networks.removePeering"),
            {"requestId": ["a"]},
            {"requestId": "a"},
        ),
        (
            ("iam.v1", "iam.projects.serviceAccounts.keys.list"),
            {"keyTypes": ["NONE_SUCH"]},
            "Invalid value at 'keyTypes'",
        ),
    ],
)
def test_query(method, query, expected):
    name, method_id = method
    resolved = discovery.document(name).methods[method_id]
    if isinstance(expected, str):
        with pytest.raises(InvalidRequest) as caught:
            resolved.query(query)
        assert expected in str(caught.value)
    else:
        assert resolved.query(query) == expected


def test_query_that_must_be_there():
    methods = discovery.document("compute.v1").methods.values()
    (method, *_) = (
        each
        for each in methods
        if any(
            known.get("required") and known["location"] == "query"
            for known in each.resource["parameters"].values()
        )
    )
    with pytest.raises(InvalidRequest, match="Required parameter"):
        method.query({})


def test_body_of_a_method_that_takes_none():
    method = discovery.document("container.v1").methods[f"{CLUSTERS}.get"]
    method.check_body(None)
    with pytest.raises(InvalidRequest, match="takes no request body"):
        method.check_body({})


def test_missing_body_is_an_empty_message():
    method = discovery.document("container.v1").methods[f"{CLUSTERS}.create"]
    method.check_body(None)


def test_answer_of_a_method_that_has_none():
    methods = discovery.document("cloudresourcemanager.v1").methods
    empty = methods["cloudresourcemanager.projects.delete"]
    assert empty.answer_problems({}) == []
    assert empty.answer_problems({"done": True}) != []
    no_schema = discovery.Method(empty.document, {"id": "a.b", "httpMethod": "GET", "path": "b"})
    assert no_schema.answer_problems({}) == []
    assert no_schema.answer_problems({"a": 1}) == ["a.b answers with an empty body"]


def test_hosts():
    assert CONTAINER in discovery.HOSTS
    assert {each.api for each in discovery.documents("www.googleapis.com")} == {"compute", "oauth2"}
    assert discovery.documents("example.com") == []
