"""Fixtures of the tests that run whole playbooks on the real engine."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from support.site_yml import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A set of the apps with unique names and ports, removed afterwards."""
    folder: Path = tmp_path_factory.mktemp("site")
    made = Site(folder, f"it{uuid.uuid4().hex[:8]}-")
    try:
        yield made
    finally:
        made.remove()
