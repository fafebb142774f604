"""Running a module in this process, as Ansible would."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args

if TYPE_CHECKING:
    from types import ModuleType


def run_module(
    module: ModuleType, capsys: pytest.CaptureFixture[str], **options: Any
) -> dict[str, Any]:
    """Return the module's result, which also contains whether it failed."""
    with (
        # A test of a controller plugin may have loaded the controller into this process.
        mock.patch.object(_internal, "is_controller", new=False),
        # Warnings of earlier modules in this process must not be reported again.
        mock.patch.dict(warnings._global_warnings, clear=True),
        mock.patch.dict(warnings._global_deprecations, clear=True),
        patch_module_args(options),
        pytest.raises(SystemExit) as ended,
    ):
        module.main()
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert bool(ended.value.code) == answer.get("failed", False)
    return answer
