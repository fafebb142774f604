"""Runs a module in this process, as Ansible would."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ansible.module_utils.testing import patch_module_args

if TYPE_CHECKING:
    from types import ModuleType


def run_module(
    module: ModuleType, capsys: pytest.CaptureFixture[str], **options: Any
) -> dict[str, Any]:
    """Return what the module answers; whether it failed is in there."""
    with patch_module_args(options), pytest.raises(SystemExit):
        module.main()
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer
