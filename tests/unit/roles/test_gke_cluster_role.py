"""The variables of the role gke_cluster: their documentation is correct and complete."""

import re

import yaml

from support import ROOT

ROLE = ROOT / "roles/gke_cluster"
# Facts that the role sets for later plays.
FACTS = {"gke_cluster_kubeconfig"}
_NAME = re.compile(r"(?<![\w.])gke_cluster_[a-z_]+\b")


def read(path):
    return yaml.safe_load((ROLE / path).read_text())


OPTIONS = read("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
DEFAULTS = read("defaults/main.yml")


def names_in(*paths):
    """Return the names of the role's variables in files, without the names of modules."""
    modules = {path.stem for path in (ROOT / "library").glob("*.py")}
    text = "\n".join(path.read_text() for path in paths)
    return set(_NAME.findall(text)) - modules


def test_the_defaults_are_those_that_are_documented():
    documented = {
        name: option["default"] for name, option in OPTIONS.items() if "default" in option
    }
    assert set(DEFAULTS) == set(documented)
    computed = {name for name, value in DEFAULTS.items() if "{{" in str(value)}
    assert computed == {"gke_cluster_name", "gke_cluster_kubeconfig_path"}
    assert {name: value for name, value in documented.items() if name not in computed} == {
        name: value for name, value in DEFAULTS.items() if name not in computed
    }
    assert {name for name, option in OPTIONS.items() if option.get("required")} == (
        set(OPTIONS) - set(DEFAULTS)
    )


def test_all_that_is_used_is_documented():
    files = [*ROLE.glob("tasks/*.yml"), ROLE / "vars/main.yml"]
    assert names_in(*files) == set(OPTIONS) | FACTS


def test_each_state_has_its_tasks():
    states = OPTIONS["gke_cluster_state"]["choices"]
    assert all((ROLE / "tasks" / f"{state}.yml").exists() for state in states)
    playbooks = "\n".join(path.read_text() for path in (ROOT / "playbooks").glob("*.yml"))
    assert sorted(re.findall(r"gke_cluster_state: (\w+)", playbooks)) == sorted(states)


def test_the_inventory_binds_what_there_is():
    bound = yaml.safe_load((ROOT / "inventory/group_vars/gke.yml").read_text())
    inputs = {name for name in bound if name.startswith("gke_cluster_")}
    assert inputs <= set(OPTIONS)
    assert {name for name, option in OPTIONS.items() if option.get("required")} <= inputs
