"""Shared parts of the modules for Google's APIs: common options and error handling."""

from __future__ import annotations

import contextlib
import traceback
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib

try:
    from ansible.module_utils.docker_ml_api.google import api, errors

    IMPORT_ERROR = None
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible.module_utils.docker_ml_api.google.api import GoogleSession

# The same options as in google.cloud's modules, so that one environment works for both.
ACCESS: dict[str, Any] = {
    "project": {"type": "str", "required": True, "fallback": (env_fallback, ["GCP_PROJECT"])},
    "auth_kind": {
        "type": "str",
        "required": True,
        "choices": ["serviceaccount", "application", "accesstoken"],
        "fallback": (env_fallback, ["GCP_AUTH_KIND"]),
    },
    "service_account_file": {
        "type": "path",
        "fallback": (env_fallback, ["GCP_SERVICE_ACCOUNT_FILE"]),
    },
    "service_account_contents": {
        "type": "jsonarg",
        "no_log": True,
        "fallback": (env_fallback, ["GCP_SERVICE_ACCOUNT_CONTENTS"]),
    },
    "access_token": {
        "type": "str",
        "no_log": True,
        "fallback": (env_fallback, ["GCP_ACCESS_TOKEN"]),
    },
    "scopes": {
        "type": "list",
        "elements": "str",
        "fallback": (env_fallback, ["GCP_SCOPES"]),
    },
    "retry_seconds": {"type": "float", "default": 60},
}


class ModuleFailedError(Exception):
    """A failure of the module: its message, and the other keys of the result."""

    def __init__(self, message: str, **result: Any) -> None:
        """Set the message and the result's other keys."""
        super().__init__(message)
        self.result = result


def run_module(
    arguments: dict[str, Any],
    run: Callable[[AnsibleModule, GoogleSession], dict[str, Any]],
    **specification: Any,
) -> None:
    """Run an Ansible module that works with Google's APIs; `run` returns the module's result.

    arguments: the module's own options; those in ACCESS are added.
    specification: additional arguments of AnsibleModule.

    The module fails with the message of a GoogleError or ModuleFailedError.
    """
    module = AnsibleModule(
        argument_spec={**ACCESS, **arguments}, supports_check_mode=True, **specification
    )
    if IMPORT_ERROR:
        module.fail_json(
            msg=missing_required_lib("google-auth, requests and the collection google.cloud"),
            exception=IMPORT_ERROR,
        )
    try:
        with contextlib.closing(api.GoogleSession(module.params)) as session:
            result = run(module, session)
    except ModuleFailedError as error:
        module.fail_json(msg=str(error), **error.result)
    except errors.GoogleError as error:
        module.fail_json(msg=str(error), status=error.status, reason=error.reason)
    module.exit_json(**{"changed": False, **result})
