"""The module with a stand-in for the docker command; the role's tests use real engines."""

import image_build
import pytest

from support.run_module import run_module

PIP = {"index-url": "https://tom:s3cret@pip.example.com/simple", "trusted-host": "pip.example.com"}


@pytest.fixture
def docker(tmp_path):
    path = tmp_path / "docker"
    path.write_text(
        "#!/bin/sh\n"
        'for last; do :; done; [ "$last" = good ] && exit\n'
        "echo https://tom:s3cret@pip.example.com/simple: not found at pip.example.com\n"
        "exit 1\n"
    )
    path.chmod(0o700)
    return str(path)


def builds(**folders):
    return [{"image": f"{name}:1", "folder": folder} for name, folder in folders.items()]


def test_what_was_built(docker, capsys):
    answer = run_module(image_build, capsys, cli=docker, builds=builds(a="good", b="good"))
    assert (answer["changed"], answer["images"]) == (True, ["a:1", "b:1"])


def test_what_would_be_built(capsys):
    given = {"cli": "/nonexistent", "builds": builds(a="good"), "_ansible_check_mode": True}
    answer = run_module(image_build, capsys, **given)
    assert (answer["changed"], answer["images"]) == (True, ["a:1"])


def test_a_password_is_hidden_and_nothing_else(docker, capsys):
    answer = run_module(
        image_build, capsys, cli=docker, builds=builds(a="bad", b="good"), pip_config=PIP
    )
    assert (answer["failed"], answer["changed"], answer["images"]) == (True, True, ["b:1"])
    assert answer["msg"].startswith("a:1 could not be built from bad; an earlier image of that")
    assert "not found at pip.example.com" in answer["msg"]
    assert "s3cret" not in str(answer)


def test_a_base_image_that_is_not_there(docker, capsys):
    build = {"image": "a:1", "folder": "bad", "base_images": {"base:1": "", "base:2": "sha256:0"}}
    answer = run_module(image_build, capsys, cli=docker, builds=[build])
    assert "(not on this engine: the base image base:1); an" in answer["msg"]


def test_no_command(capsys):
    answer = run_module(image_build, capsys, cli="/nonexistent/docker", builds=builds(a="good"))
    assert answer["msg"].startswith("/nonexistent/docker cannot be run: ")
