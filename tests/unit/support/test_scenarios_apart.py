"""Molecule's scenarios run in parallel: what one removes by name belongs to no other."""

import pytest
import yaml

from support import ROOT


def prefixes(value):
    """Return the values of apps_prefix at any depth."""
    if isinstance(value, dict):
        own = [value["apps_prefix"]] if "apps_prefix" in value else []
        return own + [found for inner in value.values() for found in prefixes(inner)]
    return []


FOUND = {
    path.parent.name: prefix
    for path in sorted((ROOT / "molecule").glob("*/inventory.yml"))
    for prefix in prefixes(yaml.safe_load(path.read_text(encoding="utf-8")))
}


@pytest.mark.parametrize("scenario", FOUND)
def test_the_names_of_one_are_no_beginning_of_the_names_of_another(scenario):
    others = [prefix for name, prefix in FOUND.items() if name != scenario]
    assert others
    assert not [prefix for prefix in others if prefix.startswith(FOUND[scenario])]
