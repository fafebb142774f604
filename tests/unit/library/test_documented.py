"""The documentation of every module, and the results of cluster modules in a lifecycle."""

import copy
import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import kubernetes_access
import kubernetes_changes
import pytest
import registry_manifest
import replication_controller_roll
import workload_absent
import workload_address
import workload_check
import workload_manifests
import workload_release
import workload_release_info
import workload_rollout
import yaml
from ansible.module_utils.basic import AnsibleModule

from support import documented, workload_examples
from support.run_module import run_module

LABELS = workload_examples.LABELS
MODULES = sorted(path.stem for path in (documented.ROOT / "library").glob("*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_documentation(name):
    module = importlib.import_module(name)
    assert documented.documentation(module)["module"] == name
    assert documented.option_differences(module) == []
    assert documented.sample_differences(module) == []


@pytest.mark.parametrize("path", sorted((documented.ROOT / "doc_fragments").glob("*.py")))
def test_each_fragment_is_used(path):
    library = (documented.ROOT / "library").glob("*.py")
    told = [yaml.safe_load(importlib.import_module(one.stem).DOCUMENTATION) for one in library]
    used = [one.get("extends_documentation_fragment") or [] for one in told]
    assert Path(path).stem in {
        name for one in used for name in ([one] if isinstance(one, str) else one)
    }


# The comparison itself

SPEC = {
    "path": {"type": "str", "required": True},
    "limit": {"type": "int", "default": 10},
    "kind": {"type": "str", "choices": ["a", "b"]},
    "items": {"type": "list", "elements": "dict", "options": {"name": {"type": "str"}}},
}
TOLD = {
    "module": "example",
    "options": {
        "path": {"description": "Where.", "type": "str", "required": True},
        "limit": {"description": "How many.", "type": "int", "default": 10},
        "kind": {"description": ["What."], "type": "str", "choices": ["a", "b"]},
        "items": {
            "description": "Which.",
            "type": "list",
            "elements": "dict",
            "suboptions": {"name": {"description": "Name.", "type": "str"}},
        },
    },
    "attributes": {"check_mode": {"support": "full"}},
}
EXAMPLE = [{"name": "Do it", "example": {"path": "/", "items": [{"name": "x"}, "{{ one }}"]}}]


def example(told=TOLD, spec=SPEC, tasks=EXAMPLE, returned=None, **others):
    def main():
        AnsibleModule(argument_spec=spec, **{"supports_check_mode": True, **others})

    return SimpleNamespace(
        DOCUMENTATION=yaml.safe_dump(told, sort_keys=False),
        EXAMPLES=yaml.safe_dump(tasks, sort_keys=False),
        RETURN=yaml.safe_dump(returned or {}, sort_keys=False),
        main=main,
    )


def changed(where, **values):
    """Return the documentation with other values at a place; None removes a key."""
    told = copy.deepcopy(TOLD)
    at = told["options"]
    for name in where.split("."):
        at = at[name]
    at.update(values)
    for name, value in values.items():
        if value is None:
            del at[name]
    return told


def without(name):
    left = {key: value for key, value in TOLD["options"].items() if key != name}
    return {**TOLD, "options": left}


# What: the documentation, and the problems found in it.
OPTIONS = {
    "right": (TOLD, []),
    "not documented": (without("limit"), ["limit is not documented"]),
    "no option": (
        {**TOLD, "options": {**TOLD["options"], "x": {"description": "X."}}}, ["x is no option"]
    ),
    "type": (changed("limit", type="float"), ["limit: type is 'int', documented as 'float'"]),
    "elements": (
        changed("items", elements="str"), ["items: elements is 'dict', documented as 'str'"]
    ),
    "default": (changed("limit", default=9), ["limit: default is 10, documented as 9"]),
    "no default": (changed("limit", default=None), ["limit: default is 10, documented as None"]),
    "a number for a truth": (
        changed("path", required=1), ["path: required is True, documented as 1"]
    ),
    "required": (
        changed("limit", required=True), ["limit: required is False, documented as True"]
    ),
    "choices": (
        changed("kind", choices=["b"]), ["kind: choices is ['a', 'b'], documented as ['b']"]
    ),
    "aliases": (
        changed("kind", aliases=["type"]), ["kind: aliases is [], documented as ['type']"]
    ),
    "no description": (changed("kind", description=" "), ["kind has no description"]),
    "suboption": (
        changed("items.suboptions.name", type="int"),
        ["items.name: type is 'str', documented as 'int'"],
    ),
    "no suboptions": (changed("items", suboptions=None), ["items.name is not documented"]),
    "a reference to others": (
        changed(
            "items",
            suboptions=None,
            description=["As O(workload_absent#module:workloads)."],
        ),
        ["items.name: required is False, documented as True", "items.namespace is no option"],
    ),
    "check mode": (
        {**TOLD, "attributes": {"check_mode": {"support": "none"}}},
        ["check mode is documented as none"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("told", "found"), OPTIONS.values(), ids=OPTIONS)
def test_options_that_are_not_as_documented(told, found):
    assert documented.option_differences(example(told)) == found


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"path": "/"}, []),
        ({"path": "/", "items": "{{ many }}"}, []),
        ({"limit": 3}, ["example Do it: path is missing"]),
        ({"path": "/", "size": 3}, ["example Do it: size is no option"]),
        ({"path": "/", "items": [{"id": 1}]}, ["example Do it: items.id is no option"]),
    ],
)
def test_examples_that_do_not_run(given, found):
    tasks = [{"name": "Do it", "example": given}, {"name": "Another", "other": {"x": 1}}]
    assert documented.option_differences(example(tasks=tasks)) == found


def test_a_module_that_ends_without_its_options():
    with pytest.raises(AssertionError, match="without its options"):
        documented.specification(SimpleNamespace(main=lambda: None))


NAME = {"description": "Name.", "type": "str", "sample": "x"}
RETURNED = {
    "count": {"description": "How many.", "type": "int", "returned": "success", "sample": 1},
    "share": {"description": "A share; null if none.", "type": "float", "returned": "always"},
    "items": {
        "description": "All.",
        "type": "list",
        "elements": "dict",
        "returned": "always, but for wrong options",
        "contains": {"name": NAME, "text": {**NAME, "returned": "with text"}},
    },
    "pairs": {
        "description": "Pairs.",
        "type": "list",
        "elements": "dict",
        "returned": "when there are any",
        "sample": [{"a": 1, "b": 2}],
    },
    "place": {
        "description": "Where.",
        "type": "dict",
        "returned": "when known",
        "contains": {"name": NAME, "open": {"description": "If open.", "type": "bool"}},
    },
    "any": {"description": "Whatever.", "type": "raw", "returned": "when there is any"},
    "problems": {
        "description": "Wrong.", "type": "list", "elements": "str", "returned": "on failure"
    },
}  # fmt: skip
RESULT = {"changed": False, "count": 1, "share": 0.5, "items": [{"name": "x"}]}
# What: the result, and the problems found in it.
RESULTS = {
    "right": (RESULT, []),
    "everything": (
        {
            **RESULT,
            "share": 1,
            "items": [{"name": "x", "text": "y"}],
            "pairs": [{"a": 3, "b": "c"}],
            "place": {"name": "x", "open": True},
            "any": None,
        },
        [],
    ),
    "nothing": ({}, [
        "count is missing, which is returned: success",
        "share is missing, which is returned: always",
        "items is missing, which is returned: always, but for wrong options",
    ]),
    "failed": ({"failed": True, "msg": "no"}, []),
    "failed with problems": (
        {"failed": True, "problems": [], "share": None},
        ["items is missing beside problems, though returned: always, but for wrong options"],
    ),
    "not documented": ({**RESULT, "x": 1}, ["x is not documented"]),
    "type": ({**RESULT, "count": "1"}, ["count is '1', documented as int"]),
    "a truth for a number": ({**RESULT, "count": True}, ["count is True, documented as int"]),
    "null": ({**RESULT, "count": None}, ["count is null, which is not documented"]),
    "null that is documented": ({**RESULT, "share": None}, []),
    "elements": ({**RESULT, "problems": [1]}, ["problems[0] is 1, documented as str"]),
    "member missing": ({**RESULT, "items": [{}]}, ["items[0].name is missing"]),
    "member not documented": (
        {**RESULT, "items": [{"name": "x", "y": 1}]}, ["items[0].y is not documented"]
    ),
    "member's type": (
        {**RESULT, "place": {"name": "x", "open": 1}}, ["place.open is 1, documented as bool"]
    ),
    "unlike the sample": (
        {**RESULT, "pairs": [{"a": 1, "c": 2}]},
        ["pairs[0].b is missing", "pairs[0].c is not in the sample"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("result", "found"), RESULTS.values(), ids=RESULTS)
def test_results_that_are_not_as_documented(result, found):
    assert documented.result_differences(example(returned=RETURNED), result) == found


def test_samples_that_are_not_as_documented():
    assert documented.sample_differences(example(returned=RETURNED)) == []
    wrong = {
        "count": {**RETURNED["count"], "sample": "1"},
        "items": {**RETURNED["items"], "contains": {"name": {**NAME, "description": ""}}},
    }
    assert documented.sample_differences(example(returned=wrong)) == [
        "count is '1', documented as int",
        "items.name has no description",
    ]


# The lifecycle of two workloads


@pytest.fixture
def run(cluster, capsys):
    """Run a module on the cluster, and compare its result with its documentation."""

    def on_cluster(module, **options):
        taken = documented.specification(module)["argument_spec"]
        access = {"kubeconfig": str(cluster.kubeconfig), "context": cluster.context}
        given = {name: value for name, value in access.items() if name in taken}
        result = run_module(module, capsys, **given, **options)
        assert documented.result_differences(module, result) == []
        return result

    return on_cluster


def of(workloads, module, **others):
    """Return the keys of workloads that a module accepts."""
    wanted = documented.specification(module)["argument_spec"]["workloads"]["options"]
    return [
        {**{name: value for name, value in one.items() if name in wanted}, **others}
        for one in workloads
    ]


def test_the_life_of_workloads(run, cluster):
    with cluster.namespace() as namespace:
        cluster.image("web")
        reference = f"{cluster.registry}/web:test"
        login = {"username": cluster.username, "password": cluster.password}
        (found,) = run(
            registry_manifest, images=[{"name": "app", "reference": reference}], **login
        )["images"]
        secret = cluster.pull_secret(namespace)
        assert run(kubernetes_access)["version"]

        app = {
            "name": "app",
            "image": "web:test",
            "port": 8080,
            "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}},
            "checks": [{"path": "/", "expected_text": "ok"}],
        }
        rendered = run(
            workload_manifests,
            apps=[app],
            workloads=[
                {"name": "web", "app": "app", "replicas": 2},
                {"name": "old", "app": "app", "kind": "ReplicationController", "replicas": 1},
            ],
            registry=cluster.registry,
            digests={"app": found["digest"]},
            pull_secret=secret,
            labels=LABELS,
            namespace=namespace,
            expose="ClusterIP",
            pre_stop=1,
            termination_grace=2,
        )
        workloads = rendered["workloads"]

        login["registry"] = cluster.registry
        changes = run(
            kubernetes_changes,
            workloads=of(workloads, kubernetes_changes),
            namespaces=rendered["namespaces"],
            labels=LABELS,
            pull_secret={"name": secret, "namespaces": [namespace], **login},
        )
        assert changes["kept_namespaces"] == [namespace]
        assert changes["diff"]
        document = {"apiVersion": "v1", "kind": "List", "items": changes["apply"]}
        cluster.kubectl(
            *("apply", "--server-side", "--field-manager=docker-ml-api", "--filename=-"),
            stdin=json.dumps(document),
        )

        (rolled,) = run(
            replication_controller_roll, workloads=of(workloads[1:], replication_controller_roll)
        )["workloads"]
        ready = run(workload_rollout, workloads=of(workloads, workload_rollout))["workloads"]
        assert len(rolled["pods"]) == 1
        assert sorted(len(one["pods"]) for one in ready) == [1, 2]

        places = run(workload_address, workloads=of(workloads, workload_address))["workloads"]
        assert [one["service_port"] for one in places] == [8080, 8080]
        answers = run(workload_check, workloads=of(workloads, workload_check))["workloads"]
        assert [len(one["answered"]) for one in answers] == [2, 1]

        for configuration in (workloads[0]["configuration"], "sha256:another"):
            good = of(workloads[:1], workload_release, configuration=configuration)
            assert run(workload_release, workloads=good, labels=LABELS)["changed"]
        history = run(
            workload_release_info, workloads=of(workloads, workload_release_info), labels=LABELS
        )
        assert [one["release"] for one in history["targets"]] == [2]
        assert [one["name"] for one in history["missing"]] == ["old"]

        absent = {"workloads": of(workloads, workload_absent), "labels": LABELS}
        assert run(workload_absent, **absent)["removed"]
        assert run(workload_absent, **absent)["removed"] == []


def test_troubles(run, cluster):
    with cluster.namespace() as namespace:
        nobody = {"name": "nobody", "namespace": namespace}
        service = {"service_name": "nobody", "service_port": 80}
        checked = {**nobody, **service, "port": 80, "checks": [{"path": "/"}]}
        for module, workload, options in (
            (workload_rollout, nobody, {"timeout": 1}),
            (replication_controller_roll, nobody, {"timeout": 1}),
            (workload_address, {**nobody, **service}, {}),
            (workload_check, checked, {"deadline": 0.1}),
        ):
            result = run(module, workloads=[workload], **options)
            assert [one["name"] for one in result["problems"]] == ["nobody"], module
        image = {"name": "app", "reference": f"{cluster.registry}/nobody:v1"}
        login = {"username": cluster.username, "password": cluster.password}
        assert run(registry_manifest, images=[image], **login)["failed"]
