"""Modules of collections are found, as in a run of Ansible."""

from __future__ import annotations

import pytest
from ansible.plugins.loader import init_plugin_loader
from ansible.utils.collection_loader import AnsibleCollectionConfig


@pytest.fixture(scope="session", autouse=True)
def _collections():
    if AnsibleCollectionConfig.collection_finder is None:
        init_plugin_loader()
