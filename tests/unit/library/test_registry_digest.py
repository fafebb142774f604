"""The module against the real engine and a real registry with a login."""

import importlib

import pytest
import registry_digest

from support import ports, real_registry
from support.real_registry import PASSWORD, USERNAME
from support.run_module import run_module

LOGIN = {"username": USERNAME, "password": PASSWORD}


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    with real_registry.running(tmp_path_factory.mktemp("private")) as running:
        yield running


@pytest.fixture
def image(engine, private):
    local = engine.name("app:1")
    engine.make_image(local)
    return {"name": "app", "image": local, "reference": f"{private.host}/team/{local}"}


def push(engine, image):
    engine.client.images.get(image["image"]).tag(image["reference"])
    engine.client.images.push(image["reference"], auth_config=LOGIN)


def ask(capsys, image, **login):
    return run_module(registry_digest, capsys, images=[image], **login)


def test_absent_then_pushed_then_rebuilt(engine, image, private, capsys):
    absent = ask(capsys, image, **LOGIN)["images"][0]
    assert absent == {**image, "digest": "", "up_to_date": False}

    push(engine, image)
    writes = private.writes()
    pushed = ask(capsys, image, **LOGIN)["images"][0]
    [known] = engine.client.images.get(image["image"]).attrs["RepoDigests"]
    assert pushed == {**image, "digest": known.partition("@")[2], "up_to_date": True}

    engine.make_image(image["image"], content="newer")
    rebuilt = ask(capsys, image, **LOGIN)["images"][0]
    assert rebuilt == {**pushed, "up_to_date": False}
    assert private.writes() == writes


def test_pushed_elsewhere_and_not_here(engine, image, capsys):
    push(engine, image)
    engine.client.images.remove(image["image"])
    engine.client.images.remove(image["reference"])
    answer = ask(capsys, image, **LOGIN)["images"][0]
    assert answer["digest"]
    assert not answer["up_to_date"]


@pytest.mark.parametrize("login", [{}, {**LOGIN, "password": "wrong-one"}], ids=["none", "wrong"])
def test_refused(image, capsys, monkeypatch, tmp_path, login):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    answer = ask(capsys, image, **login)
    assert answer["failed"]
    assert f"refuses access to {image['reference']}" in answer["msg"]


def test_registry_down(image, capsys):
    reference = f"127.0.0.1:{ports.closed()}/team/app:1"
    answer = ask(capsys, {**image, "reference": reference}, **LOGIN)
    assert answer["failed"]
    assert "cannot be reached (connection refused)" in answer["msg"]


@pytest.mark.usefixtures("no_engine")
def test_no_engine(image, capsys):
    assert ask(capsys, image)["msg"].startswith("The Docker engine does not answer: ")


@pytest.mark.usefixtures("no_docker_package")
def test_no_docker_package(capsys):
    module = importlib.reload(registry_digest)
    answer = run_module(module, capsys, images=[])
    assert answer["failed"]
    assert "(docker)" in answer["msg"]
