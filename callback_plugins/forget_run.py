"""Callback plugin forget_run: see DOCUMENTATION."""

from __future__ import annotations

import atexit
import os
from pathlib import Path

import ansible.module_utils
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
---
name: forget_run
type: notification
short_description: Deletes the secrets that a run had to store
description:
  - A Google access token or a service account's key that is given as a variable (by Ansible Vault)
    has to be stored in a file while requests are sent to Kubernetes. That file is in memory, has
    mode 0600, and is deleted at the end of the run, whether it succeeds, fails or is interrupted.
  - Files of a run that was killed are deleted by the next run.
"""

# Defined in module_utils/docker_ml_api/private_files.py, which is loaded only at the end.
_RUN = "DOCKER_ML_API_RUN"
_MODULE_UTILS = str(Path(__file__).resolve().parent.parent / "module_utils")


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Passes an identifier of the run to its modules, and deletes their files at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "forget_run"

    def __init__(self) -> None:
        """Set the identifier, and register the clean-up."""
        super().__init__()
        os.environ[_RUN] = str(os.getpid())
        # Ansible does not notify callbacks of an end by Ctrl-C. Its workers skip exit functions.
        atexit.register(_forget)


def _forget() -> None:
    if os.environ.get(_RUN) != str(os.getpid()):
        return
    if _MODULE_UTILS not in ansible.module_utils.__path__:
        ansible.module_utils.__path__.insert(0, _MODULE_UTILS)
    from ansible.module_utils.docker_ml_api import private_files  # noqa: PLC0415 - at the end only

    private_files.forget_run(os.environ)
