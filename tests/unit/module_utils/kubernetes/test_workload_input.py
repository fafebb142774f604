import pytest
from ansible.module_utils.docker_ml_api.kubernetes import workload_input

from support import workload_examples as examples
from support.workload_examples import app, autoscale, budget, parameters, workload

HEAD = "Workload web in default: "
NAME = (
    "made of lower-case letters, digits and '-', at most 63 characters, a letter or digit first "
    "and last"
)
VALUE = (
    "text of at most 63 letters, digits, '-', '_' and '.', a letter or digit first and last; "
    "quote it in YAML if it looks like a number or true/false"
)
KEY = "keys NAME or DOMAIN/NAME of letters, digits, '-', '_' and '.'"
RC = {"kind": "ReplicationController"}
LONG = "a" * 64
DOMAIN_254 = ".".join(["d" * 62] * 4) + "ddd"
DRAIN = (
    "disruption_budget.{} lets no pod of {} be evicted, so no node could ever be drained: have "
    "more replicas, or a budget that lets at least one go."
)

# What is wrong with the workload: (its options, the only message).
WORKLOADS = {
    "app": ({"app": "x"}, "app must be the name of one of apps (diabetes), not x."),
    "name in capitals": ({"name": "Web"}, None),
    "name too long": ({"name": LONG, "service_name": "web"}, None),
    "namespace": ({"namespace": "a.b"}, None),
    "namespace of Kubernetes": (
        {"namespace": "kube-system"},
        (
            "namespace must not begin with kube-, such namespaces are Kubernetes's own; "
            "kube-system does."
        ),
    ),
    "service name begins with a digit": (
        {"service_name": "1web"},
        (
            "service_name must be made of lower-case letters, digits and '-', at most 63 "
            "characters, a letter first and a letter or digit last, not '1web'."
        ),
    ),
    "service name too long": (
        {"service_name": LONG},
        (
            "service_name must be made of lower-case letters, digits and '-', at most 63 "
            f"characters, a letter first and a letter or digit last, not '{LONG}'."
        ),
    ),
    "port 0": ({"service_port": 0}, "service_port must be a number from 1 to 65535, not 0."),
    "port 65536": (
        {"service_port": 65536},
        "service_port must be a number from 1 to 65535, not 65536.",
    ),
    "no replica": ({"replicas": 0}, "replicas must be 1 or more, not 0."),
    "label's name": (
        {"labels": {"a b": "c"}},
        f"labels must have {KEY}, at most 63 characters in NAME, not 'a b'.",
    ),
    "label's name is no text": (
        {"labels": {1: "c"}},
        f"labels must have {KEY}, at most 63 characters in NAME, not 1.",
    ),
    "label's domain": (
        {"labels": {"-x/a": "c"}},
        f"labels must have {KEY}, at most 63 characters in NAME, not '-x/a'.",
    ),
    "label's value": ({"labels": {"a": "-"}}, f"labels must give a {VALUE}; it is '-'."),
    "label is no text": ({"labels": {"a": True}}, f"labels must give a {VALUE}; it is True."),
    "label app": (
        {"labels": {"app": "x"}},
        "labels must not hold app, which is set for you: choose another key.",
    ),
    "label of the module": (
        {"labels": {"app.kubernetes.io/managed-by": "x"}},
        (
            "labels must not hold app.kubernetes.io/managed-by, which is set for you: choose "
            "another key."
        ),
    ),
    "label of our domain": (
        {"labels": {"docker-ml-api/x": "x"}},
        "labels must not hold docker-ml-api/x, which is set for you: choose another key.",
    ),
    "node selector": (
        {"node_selector": {"a": "b c"}},
        f"node_selector must give a {VALUE}; it is 'b c'.",
    ),
    "annotation's name": (
        {"service_annotations": {"a b": "c"}},
        f"service_annotations must have {KEY}, the domain not docker-ml-api, not 'a b'.",
    ),
    "annotation of our domain": (
        {"service_annotations": {"docker-ml-api/configuration": "c"}},
        (
            f"service_annotations must have {KEY}, the domain not docker-ml-api, not "
            "'docker-ml-api/configuration'."
        ),
    ),
    "annotation's name is no text": (
        {"service_annotations": {True: "c"}},
        f"service_annotations must have {KEY}, the domain not docker-ml-api, not True.",
    ),
    "annotation is no text": (
        {"service_annotations": {"a": 1}},
        "service_annotations must give a text: quote 1.",
    ),
    "environment's name": (
        {"environment": {"1A": "x"}},
        (
            "environment must have names of letters, digits, '_', '-' and '.', no digit first, "
            "not '1A'."
        ),
    ),
    "environment's name is no text": (
        {"environment": {1: "x"}},
        "environment must have names of letters, digits, '_', '-' and '.', no digit first, not 1.",
    ),
    "environment of ours": (
        {"environment": {"PORT": "80"}},
        "environment must not hold PORT, which is set for you.",
    ),
    "environment is no text": (
        {"environment": {"A": 5}},
        "environment must give A text: quote 5.",
    ),
    "limit below the app's request": (
        {"resources": {"requests": None, "limits": {"memory": "100Mi"}}},
        "resources.limits.memory (100Mi) must not be less than resources.requests.memory (160Mi).",
    ),
    "balancer's class without a balancer": (
        {"expose": "NodePort", "load_balancer_class": "a"},
        "load_balancer_class needs expose: LoadBalancer, but expose is NodePort.",
    ),
    "balancer's sources without a balancer": (
        {"expose": "ClusterIP", "load_balancer_source_ranges": ["10.0.0.0/8"]},
        "load_balancer_source_ranges needs expose: LoadBalancer, but expose is ClusterIP.",
    ),
    "balancer's class": (
        {"load_balancer_class": "a b"},
        "load_balancer_class must be NAME or DOMAIN/NAME, not 'a b'.",
    ),
    "an address is no network": (
        {"load_balancer_source_ranges": ["10.0.0.1"]},
        (
            "load_balancer_source_ranges must hold networks as in 203.0.113.0/24 or 2001:db8::/32, "
            "not '10.0.0.1'."
        ),
    ),
    "no network": (
        {"load_balancer_source_ranges": ["10.0.0.0/33"]},
        (
            "load_balancer_source_ranges must hold networks as in 203.0.113.0/24 or 2001:db8::/32, "
            "not '10.0.0.0/33'."
        ),
    ),
    "toleration's keys": (
        {"tolerations": [{"key": "a", "values": "b"}]},
        (
            "tolerations must have the keys key, operator, value, effect, tolerationSeconds, "
            "not 'values'."
        ),
    ),
    "toleration's operator": (
        {"tolerations": [{"key": "a", "operator": "In"}]},
        "tolerations must have the operator Equal or Exists, not 'In'.",
    ),
    "toleration that exists with a value": (
        {"tolerations": [{"operator": "Exists", "value": "x"}]},
        "tolerations must have no value with the operator Exists.",
    ),
    "toleration without a key": (
        {"tolerations": [{"value": "x"}]},
        "tolerations must have a key with the operator Equal.",
    ),
    "toleration's key": (
        {"tolerations": [{"key": "a b"}]},
        "tolerations must have a key NAME or DOMAIN/NAME, not 'a b'.",
    ),
    "toleration's value": (
        {"tolerations": [{"key": "a", "value": True}]},
        f"tolerations must have as value {VALUE}; it is True.",
    ),
    "toleration's effect": (
        {"tolerations": [{"key": "a", "effect": "Never"}]},
        (
            "tolerations must have one of the effects NoSchedule, PreferNoSchedule, NoExecute, "
            "not 'Never'."
        ),
    ),
    "toleration's seconds": (
        {"tolerations": [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}]},
        "tolerations may have tolerationSeconds, a whole number, with the effect NoExecute only.",
    ),
    "autoscaled controller": (
        {**RC, "autoscale": autoscale()},
        (
            "autoscale needs kind: Deployment; a ReplicationController is rolled pod by pod, "
            "which an autoscaler would fight."
        ),
    ),
    "autoscaled from nothing": (
        {"autoscale": autoscale(min_replicas=0)},
        "autoscale.min_replicas must be 1 or more, not 0.",
    ),
    "autoscaled downwards": (
        {"autoscale": autoscale(max_replicas=1)},
        "autoscale.max_replicas must not be less than autoscale.min_replicas (2), not 1.",
    ),
    "autoscaled by no load": (
        {"autoscale": autoscale(cpu_percent=0)},
        "autoscale.cpu_percent must be 1 or more, not 0.",
    ),
    "autoscaled at once and sooner": (
        {"autoscale": autoscale(scale_down_delay=-1)},
        "autoscale.scale_down_delay must be from 0 to 3600 seconds, not -1.",
    ),
    "autoscaled in an hour and a second": (
        {"autoscale": autoscale(scale_down_delay=3601)},
        "autoscale.scale_down_delay must be from 0 to 3600 seconds, not 3601.",
    ),
    "label's name too long": (
        {"labels": {LONG: "x"}},
        f"labels must have {KEY}, at most 63 characters in NAME, not '{LONG}'.",
    ),
    "label's value too long": (
        {"labels": {"a": LONG}},
        f"labels must give a {VALUE}; it is '{LONG}'.",
    ),
    "label's domain too long": (
        {"labels": {f"{DOMAIN_254}/a": "x"}},
        f"labels must have {KEY}, at most 63 characters in NAME, not '{DOMAIN_254}/a'.",
    ),
    "budget that rounds up to three of three": (
        {"replicas": 3, "disruption_budget": budget(min_available="67%")},
        DRAIN.format("min_available (67%)", "3 replicas"),
    ),
    "budget of none": (
        {"disruption_budget": budget(max_unavailable=0)},
        DRAIN.format("max_unavailable (0)", "2 replicas"),
    ),
    "autoscaled in two hours": (
        {"autoscale": autoscale(scale_down_delay=7200)},
        "autoscale.scale_down_delay must be from 0 to 3600 seconds, not 7200.",
    ),
    "budget for the only pod": (
        {"replicas": 1, "disruption_budget": budget(min_available=1)},
        DRAIN.format("min_available (1)", "1 replica"),
    ),
    "budget that rounds up to all pods": (
        {"replicas": 2, "disruption_budget": budget(min_available="51%")},
        DRAIN.format("min_available (51%)", "2 replicas"),
    ),
    "budget for the fewest of an autoscaler": (
        {"autoscale": autoscale(min_replicas=1), "disruption_budget": budget(min_available=1)},
        DRAIN.format("min_available (1)", "1 replica"),
    ),
    "budget of nothing": (
        {"disruption_budget": budget(max_unavailable="0%")},
        DRAIN.format("max_unavailable (0%)", "2 replicas"),
    ),
    **{
        f"budget {value!r}": (
            {"disruption_budget": budget(max_unavailable=value)},
            (
                "disruption_budget.max_unavailable must be a number of pods or a share as in "
                f"50%, not {value!r}."
            ),
        )
        for value in ("half", -1, True, "101%", 0.5)
    },
}
WORKLOADS["name in capitals"] = (
    {"name": "Web", "service_name": "web"},
    f"name must be {NAME}, not 'Web'.",
)
WORKLOADS["name too long"] = (
    {"name": LONG, "service_name": "web"},
    f"name must be {NAME}, not '{LONG}'.",
)
WORKLOADS["namespace"] = ({"namespace": "a.b"}, f"namespace must be {NAME}, not 'a.b'.")


@pytest.mark.parametrize(("options", "sentence"), WORKLOADS.values(), ids=WORKLOADS)
def test_workload(options, sentence):
    place = f"Workload {options.get('name', 'web')} in {options.get('namespace', 'default')}: "
    assert workload_input.problems(parameters(workload(**options))) == [place + sentence]


def of(requests=None, limits=None):
    return {"resources": {"requests": requests, "limits": limits}}


RESOURCE = (
    "must name cpu, memory, ephemeral-storage or a device as in nvidia.com/gpu, not {name!r}."
)
# What is wrong with the app: (its options, the message).
APPS = {
    "name": ({"name": "a b"}, f"name must be {VALUE}, not 'a b'."),
    "image without a tag": (
        {"image": "diabetes"},
        "image must be NAME:TAG, as in diabetes:v1, in lower case, not 'diabetes'.",
    ),
    "image in capitals": (
        {"image": "Diabetes:v1"},
        "image must be NAME:TAG, as in diabetes:v1, in lower case, not 'Diabetes:v1'.",
    ),
    "port": ({"port": 70000}, "port must be a number from 1 to 65535, not 70000."),
    "alive path": (
        {"alive_path": "isAlive"},
        "alive_path must begin with / and hold no blanks, as in /isAlive, not 'isAlive'.",
    ),
    "ready path": (
        {"ready_path": "/a b"},
        "ready_path must begin with / and hold no blanks, as in /isAlive, not '/a b'.",
    ),
    "unknown resource": (
        of({"gpu": 1}),
        "resources.requests " + RESOURCE.format(name="gpu"),
    ),
    "quantity": (
        of({"memory": "64MB"}),
        (
            "resources.requests.memory must be a quantity as in 500m (CPU) or 64Mi (memory): "
            "'64MB' is no quantity such as 500m, 1.5 or 64Mi."
        ),
    ),
    "Docker's megabytes": (
        of(limits={"memory": "64m"}),
        (
            "resources.limits.memory must be 1Mi or more, not 64m (m is a thousandth here, Mi is a "
            "mebibyte)."
        ),
    ),
    "no CPU": (of({"cpu": 0}), "resources.requests.cpu must be 1m or more, not 0."),
    "less than a thousandth": (
        of({"cpu": "100u"}),
        "resources.requests.cpu must be 1m or more, not 100u.",
    ),
    "a byte less than a mebibyte": (
        of(limits={"memory": 1048575}),
        (
            "resources.limits.memory must be 1Mi or more, not 1048575 (m is a thousandth here, Mi "
            "is a mebibyte)."
        ),
    ),
    "negative": (
        of({"ephemeral-storage": "-1Gi"}),
        "resources.requests.ephemeral-storage must be 0 or more, not -1Gi.",
    ),
    "limit below request": (
        of({"cpu": "1"}, {"cpu": "999m"}),
        "resources.limits.cpu (999m) must not be less than resources.requests.cpu (1).",
    ),
    "half a device": (
        of(limits={"nvidia.com/gpu": "500m"}),
        "resources.limits.nvidia.com/gpu must be a whole number of devices, not 500m.",
    ),
    "devices to share": (
        of({"nvidia.com/gpu": 1}, {"nvidia.com/gpu": 2}),
        "resources.requests.nvidia.com/gpu and resources.limits.nvidia.com/gpu must be equal.",
    ),
}


@pytest.mark.parametrize(("options", "sentence"), APPS.values(), ids=APPS)
def test_app(options, sentence):
    one = app(**options)
    found = workload_input.problems(parameters(workload(app=one["name"]), apps=[one]))
    assert found == [f"App {one['name']}: {sentence}"]


# What is wrong with the module's options: (the options, the message).
GENERAL = {
    "no labels": (
        {"labels": {}},
        (
            "labels must hold at least one label, by which our objects are recognized, as in "
            "app.kubernetes.io/managed-by: docker-ml-api."
        ),
    ),
    "label of an instance": (
        {"labels": {"app.kubernetes.io/instance": "x"}},
        (
            "labels must not hold app.kubernetes.io/instance, which is set for you: choose another "
            "key."
        ),
    ),
    "registry with a scheme": (
        {"registry": "https://example.com"},
        (
            "registry must be HOST or HOST/PATH without https:// and without a last /, as in "
            "docker.io/ACCOUNT or registry.example.com:5000/team, not 'https://example.com'."
        ),
    ),
    "registry with a last slash": (
        {"registry": "example.com/"},
        (
            "registry must be HOST or HOST/PATH without https:// and without a last /, as in "
            "docker.io/ACCOUNT or registry.example.com:5000/team, not 'example.com/'."
        ),
    ),
    "pull secret": (
        {"pull_secret": "My_Secret"},
        (
            "pull_secret must be made of lower-case letters, digits, '-' and '.', at most 253 "
            "characters, a letter or digit first and last, not 'My_Secret'."
        ),
    ),
    "digest": (
        {"digests": {"diabetes": "sha256:12"}},
        "digests must give app diabetes a digest sha256:… of 64 hex digits, not 'sha256:12'.",
    ),
    "min_ready": ({"min_ready": -1}, "min_ready must be 0 or more seconds, not -1."),
    "progress_deadline": (
        {"progress_deadline": 1},
        "progress_deadline must be more seconds than min_ready (1), not 1.",
    ),
    "termination_grace": (
        {"termination_grace": 0},
        "termination_grace must be 1 or more seconds, not 0.",
    ),
    "pre_stop": (
        {"pre_stop": 30},
        "pre_stop must be 0 or more seconds and less than termination_grace (30), not 30.",
    ),
    "no namespace": (
        {"namespace": ""},
        f"namespace must be {NAME}, not ''.",
    ),
    "no replica": ({"replicas": 0}, "replicas must be 1 or more, not 0."),
    "an app twice": (
        {"apps": [app(), app(port=80)]},
        "App diabetes stands 2 times in apps: name each app once.",
    ),
    "autoscaled without a CPU request": (
        {"apps": [app(resources=None)], "workloads": [workload(autoscale=autoscale())]},
        HEAD + "autoscale needs resources.requests.cpu: its percentage is of that.",
    ),
    "no app at all": (
        {"apps": []},
        HEAD + "app must be the name of one of apps (none), not diabetes.",
    ),
}


@pytest.mark.parametrize(("options", "sentence"), GENERAL.values(), ids=GENERAL)
def test_general(options, sentence):
    assert workload_input.problems(parameters(**options)) == [sentence]


def test_twins():
    given = [
        workload(name="a"),
        workload(name="a", service_name="b"),
        workload(name="b"),
        # In another namespace the name may be used again.
        workload(name="a", namespace="other"),
    ]
    assert workload_input.problems(parameters(*given)) == [
        "2 workloads in default have the name a: give each a name of its own.",
        "2 workloads in default have the service_name b: give each a service_name of its own.",
    ]


def test_all_problems_are_told():
    given = [workload(replicas=0, service_port=0), workload(name="other", app="x")]
    assert len(workload_input.problems(parameters(*given, min_ready=-1))) == 4


RIGHT = {
    "plain": {},
    "everything": examples.EVERYTHING,
    "controller": RC,
    "longest names": {"name": "a" * 63, "service_name": "b" * 63},
    "name that begins with a digit": {"name": "1st", "service_name": "first"},
    "empty label": {"labels": {"example.com/flag": ""}},
    "autoscaled by a limit of CPU": {
        "autoscale": autoscale(),
        "resources": {"requests": None, "limits": {"cpu": "1"}},
    },
    "budget of some": {"replicas": 2, "disruption_budget": budget(min_available="50%")},
    "budget as text": {"replicas": 2, "disruption_budget": budget(min_available="1")},
    "device": {"resources": of(limits={"nvidia.com/gpu": 1})["resources"]},
    "node's taints": {"tolerations": [{"operator": "Exists"}]},
    "toleration's nulls": {"tolerations": [{"key": "a", "operator": None, "value": None}]},
    "first port": {"service_port": 1},
    "last port": {"service_port": 65535},
    "longest label": {"labels": {f"{'.'.join(['d' * 62] * 4)}dd/{'n' * 63}": "v" * 63}},
    "least resources": {
        "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1m"}}
    },
    "one replica": {"replicas": 1},
    "least autoscaler": {
        "autoscale": autoscale(min_replicas=1, max_replicas=1, cpu_percent=1, scale_down_delay=0)
    },
    "slowest autoscaler": {"autoscale": autoscale(scale_down_delay=3600)},
    "budget of all but one": {"replicas": 3, "disruption_budget": budget(min_available="66%")},
    "everything may go": {"disruption_budget": budget(max_unavailable="100%")},
}


@pytest.mark.parametrize("options", RIGHT.values(), ids=RIGHT)
def test_right(options):
    assert workload_input.problems(parameters(workload(**options))) == []


@pytest.mark.parametrize(
    "options",
    [
        {"registry": ""},
        {"registry": "registry.example.com:5000/team"},
        {"registry": "[::1]:5000"},
        {"digests": {"diabetes": examples.DIGEST}, "pull_secret": "my.secret"},
        {"min_ready": 0, "pre_stop": 0, "progress_deadline": 1},
        {"pre_stop": 0, "termination_grace": 1},
        {
            "apps": [app(resources=of({"cpu": "1m"})["resources"])],
            "workloads": [workload(autoscale=autoscale())],
        },
        {"apps": [app(image="example.com:5000/a/b:v1", alive_path=None, ready_path=None)]},
        {"apps": [app(), app(name="unused", resources=None)]},
    ],
    ids=str,
)
def test_right_options(options):
    assert workload_input.problems(parameters(**options)) == []
