"""Module debian_root_filesystems, with real builds of one package."""

from __future__ import annotations

import debian_image
import debian_root_filesystems
import pytest

from support import run_module

TINY = {"variant": "extract", "packages": ["busybox-static"]}


@pytest.fixture
def module(capsys, tmp_path):
    def run(recipes, **options):
        settings = {"cache": str(tmp_path), "recipes": recipes} | options
        return run_module.run_module(debian_root_filesystems, capsys, **settings)

    return run


def test_several_at_once_and_only_what_is_missing(module, capsys, tmp_path):
    recipes = [{"reference": "one", **TINY}, {"reference": "two", **TINY, "generation": "2"}]
    planned = module(recipes, _ansible_check_mode=True)
    assert planned["made"] == ["one", "two"]
    assert not list(tmp_path.iterdir())
    assert module(recipes)["made"] == ["one", "two"]
    assert len(list(tmp_path.glob("*.tar"))) == 2
    assert not module(recipes)["changed"]
    (third,) = module([*recipes, {**TINY, "generation": "3"}], _ansible_check_mode=True)["made"]
    assert third == "recipe 3"
    # The other module uses the archive in the cache.
    options = {"cache": str(tmp_path), **TINY, "generation": "2"}
    assert not run_module.run_module(debian_image, capsys, **options)["changed"]


def test_one_that_fails_does_not_cost_the_other(module, tmp_path):
    wrong = {"reference": "wrong", **TINY, "packages": ["no-such-package"]}
    failed = module([wrong, {"reference": "right", **TINY}])
    assert failed["failed"]
    assert failed["msg"].startswith("wrong: ")
    assert failed["msg"].endswith("no-such-package.")
    assert "no-such-package" in failed["log"]
    assert len(list(tmp_path.glob("*.tar"))) == 1


def test_an_unknown_field(module):
    assert "unknown field 'package'" in module([{"package": ["a"]}])["msg"]
