"""What the modules for clusters share: the spec's common part and the ways to fail."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from ansible.module_utils.docker_ml_api.kubernetes import cluster

    IMPORT_ERROR = None
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ansible.module_utils.docker_ml_api.kubernetes.cluster import ApiError, Cluster

_FORBIDDEN = 403
_CONFLICT = 409
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


class ModuleFailedError(Exception):
    """The module's own failure: the sentence, and what the result holds beside it."""

    def __init__(self, message: str, **result: Any) -> None:
        """Take the sentence and the result's other keys."""
        super().__init__(message)
        self.result = result


def workloads(options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the specification of the option `workloads`: name, namespace, and these options."""
    named = {name: {"type": "str", "required": True} for name in ("name", "namespace")}
    return {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {**named, **(options or {})},
    }


def checked(problems: Sequence[Mapping[str, str]], **result: Any) -> dict[str, Any]:
    """Return the result; raise ModuleFailedError with it if there are problems.

    Each has `problem`, a sentence, and whatever else the module documents.
    """
    if problems:
        sentences = "\n".join(one["problem"] for one in problems)
        raise ModuleFailedError(sentences, problems=problems, **result)
    return result


def advise(error: ApiError) -> str:
    """Return what the API server said, with what fixes it."""
    said = str(error).rstrip(".")
    if error.status == _FORBIDDEN and "system:anonymous" in said:
        return f"{said}. The context has no login: write it anew with your cluster's tool."
    if error.status == _FORBIDDEN and " cannot " in said:
        return (
            f"{said}. Ask its administrator for that permission, or name a context that has it "
            "with kubernetes_context."
        )
    if error.status == _CONFLICT:
        return f"{said}. Run the same command again: somebody else changed it at the same time."
    if error.status == _TOO_MANY_REQUESTS or error.status >= _SERVER_ERROR:
        return f"{said}. Run the same command again when it is well."
    return f"{said}."


def run_module(
    arguments: dict[str, Any],
    run: Callable[[AnsibleModule, Cluster], dict[str, Any]],
    **specification: Any,
) -> None:
    """Run an Ansible module that works on a cluster; `run` returns what it exits with.

    arguments: the module's own options; the cluster's are added. specification: further
    arguments of AnsibleModule. ClusterError and ModuleFailedError end it with their sentence.
    """
    access: dict[str, Any] = {
        # Not masked in messages: a kubeconfig given as a mapping must hold no secret.
        "kubeconfig": {"type": "raw", "no_log": False},
        "context": {"type": "str"},
    }
    module = AnsibleModule(
        argument_spec={**access, **arguments}, supports_check_mode=True, **specification
    )
    if IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=IMPORT_ERROR)
    try:
        connected = cluster.connect(module.params)
        try:
            result = run(module, connected)
        except cluster.ApiError as error:
            module.fail_json(msg=f"{connected.name} refused a request: {advise(error)}")
    except ModuleFailedError as error:
        module.fail_json(msg=str(error), **error.result)
    except cluster.ClusterError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**{"changed": False, **result})
