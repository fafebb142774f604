"""Module debian_image, on a real engine with a recipe of one package."""

from __future__ import annotations

import debian_image
import pytest
from ansible.module_utils.docker_ml_api.docker import debian_bootstrap as util
from ansible.module_utils.docker_ml_api.docker import local_images

from support import run_module

TINY = {"variant": "extract", "packages": ["busybox-static"]}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def module(capsys, cache):
    def run(**options):
        return run_module.run_module(debian_image, capsys, **({"cache": str(cache)} | options))

    return run


def label(reference):
    return local_images.inspect("docker", [reference])[reference].label(local_images.RECIPE_LABEL)


def test_an_image_is_made_once_and_again_when_its_recipe_changes(module, engine):
    tiny = {"reference": engine.name("tiny:1"), **TINY}
    planned = module(**tiny, _ansible_check_mode=True)
    assert planned["changed"]
    assert "image" not in planned
    assert local_images.inspect("docker", [tiny["reference"]]) == {}

    made = module(**tiny)
    assert made["changed"]
    assert made["recipe"] == planned["recipe"] == label(tiny["reference"])
    assert made["diff"]["after"] == {"image": made["image"]["id"], "recipe": made["recipe"]}

    same = module(**tiny)
    assert not same["changed"]
    assert same["image"] == made["image"]
    assert module(**tiny, _ansible_check_mode=True)["changed"] is False

    other = module(**tiny, labels={"a": "b"})
    assert other["done"] == ["import"]
    assert other["diff"]["before"]["recipe"] == made["recipe"]
    # The image that was replaced is gone.
    assert not [i for i in engine.client.api.images(all=True) if i["Id"] == made["image"]["id"]]


def test_without_a_reference_only_the_root_file_system_is_made(module, tmp_path):
    options = {**TINY, "cache": str(tmp_path / "new"), "cli": "/no/such/client"}
    assert module(**options, _ansible_check_mode=True)["done"] == ["bootstrap"]
    assert not (tmp_path / "new").exists()
    made = module(**options)
    assert made["done"] == ["bootstrap"]
    assert made["tar"].startswith(str(tmp_path / "new"))
    assert not module(**options)["changed"]


def test_in_check_mode_no_client_is_needed(module, engine):
    options = {"reference": engine.name("x:1"), "cli": "", **TINY, "generation": "new"}
    assert module(**options, _ansible_check_mode=True)["done"] == ["bootstrap", "import"]
    assert module(**options)["msg"].startswith("cli is empty")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"packages": ["no-such-package"], "variant": "extract"}, "no-such-package."),
        ({"suite": "nosuch"}, "nosuch"),
        ({"variant": "tiny"}, "value of variant must be one of"),
    ],
)
def test_wrong_options_are_one_sentence(module, tmp_path, options, message):
    failed = module(cache=str(tmp_path), **options)
    assert failed["failed"]
    assert message in failed["msg"]
    assert "\n" not in failed["msg"]
    assert not list(tmp_path.glob("*.tar"))


def test_an_engine_that_does_not_answer(module, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert "127.0.0.1:1" in module(reference="x:1", **TINY)["msg"]


def test_another_distribution(module, monkeypatch, tmp_path):
    fedora = util.Host({"ID": "fedora", "PRETTY_NAME": "Fedora 42"}, tmp_path)
    monkeypatch.setattr(util.Host, "read", lambda: fedora)
    failed = module(cache=str(tmp_path), suite="bookworm")
    assert failed["msg"] == (
        "No image can be made from packages here: this host is Fedora 42, neither Debian nor "
        "Ubuntu nor a relative of them."
    )
