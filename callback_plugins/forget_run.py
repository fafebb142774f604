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
short_description: Forgets the secrets that a run had to keep
description:
  - A Google access token or a service account's key that is given as a variable (by Ansible Vault)
    has to be in a file while Kubernetes is asked. That file is in memory, of mode 0600, and goes
    with the run, however that ends.
  - What a run that was killed left is removed by the next one.
"""

# As module_utils/docker_ml_api/private_files.py has it, which is loaded at the end only.
_RUN = "DOCKER_ML_API_RUN"
_MODULE_UTILS = str(Path(__file__).resolve().parent.parent / "module_utils")


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Names the run to its modules, and cleans up behind it."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "forget_run"

    def __init__(self) -> None:
        """Begin."""
        super().__init__()
        os.environ[_RUN] = str(os.getpid())
        # Ansible tells callbacks of no end by Ctrl-C. Its workers end without this.
        atexit.register(_forget)


def _forget() -> None:
    if os.environ.get(_RUN) != str(os.getpid()):
        return
    if _MODULE_UTILS not in ansible.module_utils.__path__:
        ansible.module_utils.__path__.insert(0, _MODULE_UTILS)
    from ansible.module_utils.docker_ml_api import private_files  # noqa: PLC0415 - at the end only

    private_files.forget_run(os.environ)
