"""Shared parts of the modules for clusters: common options and error handling."""

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
    """A failure of the module: its message, and the other keys of the result."""

    def __init__(self, message: str, **result: Any) -> None:
        """Set the message and the result's other keys."""
        super().__init__(message)
        self.result = result


def workloads(options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the specification of the option `workloads`: name, namespace, and `options`."""
    named = {name: {"type": "str", "required": True} for name in ("name", "namespace")}
    return {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {**named, **(options or {})},
    }


def checked(problems: Sequence[Mapping[str, str]], **result: Any) -> dict[str, Any]:
    """Return the result; raise ModuleFailedError with it if there are problems.

    Each problem has `problem`, a sentence, and the other keys that the module documents.
    """
    if problems:
        sentences = "\n".join(one["problem"] for one in problems)
        raise ModuleFailedError(sentences, problems=problems, **result)
    return result


def advise(error: ApiError) -> str:
    """Return the API server's message, with advice on how to fix the problem."""
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
    """Run an Ansible module that works on a cluster; `run` returns the module's result.

    arguments: the module's own options; those for the cluster are added.
    specification: additional arguments of AnsibleModule.

    The module fails with the message of a ClusterError or ModuleFailedError.
    """
    access: dict[str, Any] = {
        # Not masked in messages, since a kubeconfig given as a mapping must not contain secrets.
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
        finally:
            # In the process of a task, connections would last as long as the garbage collector
            # pleases.
            connected.close()
    except ModuleFailedError as error:
        module.fail_json(msg=str(error), **error.result)
    except cluster.ClusterError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**{"changed": False, **result})
