import pytest
from ansible.module_utils.docker_ml_api.kubernetes import rollout_reader
from ansible.module_utils.docker_ml_api.kubernetes.cluster import (
    ApiError,
    ClusterError,
    UnreachableError,
)
from ansible.module_utils.docker_ml_api.kubernetes.rollout_reader import common_selector

from support import api_objects as live


def selecting(**labels):
    return {"kind": "Deployment", "spec": {"selector": {"matchLabels": labels}}}


CONTROLLER = {"kind": "ReplicationController", "spec": {"selector": {"app": "c"}}}
# What: controllers and the selector for their pods.
SELECTORS = {
    "one": ([selecting(app="a")], "app in (a)"),
    "two": ([selecting(app="b"), selecting(app="a")], "app in (a,b)"),
    "of either kind": ([selecting(app="a"), CONTROLLER], "app in (a,c)"),
    "the same one": ([selecting(app="a"), selecting(app="a")], "app in (a)"),
    "more labels": ([selecting(app="a", env="x"), selecting(env="y", app="b")], "app in (a,b)"),
    "nothing in common": ([selecting(app="a"), selecting(name="b")], ""),
    "no selector by labels": ([{"kind": "Deployment", "spec": {"selector": {}}}], ""),
    "too many": ([selecting(app=f"workload-number-{n}") for n in range(99)], ""),
}


@pytest.mark.parametrize(("controllers", "selector"), SELECTORS.values(), ids=SELECTORS)
def test_common_selector(controllers, selector):
    assert common_selector(controllers) == selector


def test_a_selector_of_an_object_as_the_api_gives_it():
    assert common_selector([live.deployment(), live.controller()]) == "app in (web)"


AWAY = UnreachableError("away")
BUSY = ApiError(503, "ServiceUnavailable", "busy")
# What: the result of each request ("" for an answer), the final error, and the seconds.
OUTAGES = {
    "none": (["", ""], "", 0),
    "short": (["", AWAY, AWAY, ""], "", 2),
    "another kind": (["", BUSY, AWAY, ""], "", 2),
    "two short ones": (["", *[AWAY] * 15, "", *[AWAY] * 15, ""], "", 30),
    "too long": (["", *[AWAY] * 99], "away", 20),
    "from the first": ([AWAY, ""], "away", 0),
    "not one": (["", ApiError(403, "Forbidden", "no"), ""], "no", 0),
    "a refused login": (["", ClusterError("login"), ""], "login", 0),
}


@pytest.mark.parametrize(("met", "end", "seconds"), OUTAGES.values(), ids=OUTAGES)
def test_outlasting(met, end, seconds):
    left, slept = list(met), []

    def request(argument):
        meets = left.pop(0)
        if meets:
            raise meets
        return argument

    asking = rollout_reader.outlasting(request, lambda: sum(slept), slept.append)
    told = ""
    try:
        while left:
            assert asking("x") == "x"
    except ClusterError as error:
        told = str(error)
    assert (told, sum(slept)) == (end, seconds)
