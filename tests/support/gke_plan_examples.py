"""Specifications of clusters, completed by the defaults of their options."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.docker_ml_api.gke import cluster_options


def pool(**options: Any) -> dict[str, Any]:
    """Return a node pool as a user writes it."""
    return {"name": "apps", **options}


def cluster(**options: Any) -> dict[str, Any]:
    """Return the specification of a cluster as a module gets it."""
    given = {"name": "model-test-cluster", "location": "europe-west1-b", **options}
    checked = ArgumentSpecValidator(cluster_options.ARGUMENTS).validate({"cluster": given})
    assert not checked.error_messages, checked.error_messages
    found: dict[str, Any] = checked.validated_parameters["cluster"]
    return found
