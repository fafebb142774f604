"""Importing a module as on a host whose Python lacks packages."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import TYPE_CHECKING

import ansible.module_utils

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_SHARED = "ansible.module_utils.docker_ml_api"


@contextlib.contextmanager
def fresh_module(name: str, *lacking: str) -> Iterator[ModuleType]:
    """Yield the module, imported again together with the shared code, without the packages."""

    def ours() -> list[str]:
        return [one for one in sys.modules if one == name or one.startswith(_SHARED)]

    kept = {one: sys.modules[one] for one in ours()}
    packages = {one: sys.modules.get(one) for one in lacking}
    shared = ansible.module_utils.docker_ml_api
    for one in kept:
        del sys.modules[one]
    # For Python, None means "not installed".
    sys.modules.update(dict.fromkeys(lacking))  # type: ignore[arg-type]
    try:
        yield importlib.import_module(name)
    finally:
        for one in [*ours(), *lacking]:
            del sys.modules[one]
        sys.modules.update(kept)
        sys.modules.update({one: found for one, found in packages.items() if found})
        ansible.module_utils.docker_ml_api = shared
