"""The module against a real registry with a login."""

import base64
import importlib
import json

import pytest
import registry_access

from support import real_registry
from support.real_registry import PASSWORD, USERNAME
from support.run_module import run_module

WRONG = "not-this-one"


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    with real_registry.running(tmp_path_factory.mktemp("private")) as running:
        yield running


def ask(capsys, host, folder, **options):
    return run_module(
        registry_access, capsys, registry=f"{host}/team", docker_config=str(folder), **options
    )


def test_a_login(private, capsys, tmp_path):
    answer = ask(capsys, private.host, tmp_path, username=USERNAME, password=PASSWORD)
    assert (answer["access"], answer["changed"]) == ("accepted", False)


def test_a_wrong_password_does_not_show(private, capsys, tmp_path):
    answer = ask(capsys, private.host, tmp_path, username=USERNAME, password=WRONG)
    assert answer["failed"]
    assert "refuses the password of tom" in answer["msg"]
    assert WRONG not in json.dumps(answer)


def test_a_stored_login(private, capsys, tmp_path):
    login = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
    auths = {"auths": {private.host: {"auth": login}}}
    (tmp_path / "config.json").write_text(json.dumps(auths))
    assert ask(capsys, private.host, tmp_path)["access"] == "stored"


def test_a_login_stored_for_another_registry(private, capsys, tmp_path):
    (tmp_path / "config.json").write_text('{"auths": {"a.example.com": {"auth": "YTpi"}}}')
    assert "wants a login" in ask(capsys, private.host, tmp_path)["msg"]


def test_no_stored_login(private, capsys, tmp_path):
    assert "wants a login" in ask(capsys, private.host, tmp_path)["msg"]


@pytest.mark.filterwarnings("ignore:docker-credential-of-nobody not installed")
def test_a_store_that_does_not_work(private, capsys, tmp_path):
    (tmp_path / "config.json").write_text('{"credsStore": "of-nobody"}')
    answer = ask(capsys, private.host, tmp_path)
    assert answer["failed"]
    assert "docker-credential-of-nobody" in answer["msg"]


@pytest.mark.usefixtures("no_docker_package")
def test_no_docker_package(capsys):
    module = importlib.reload(registry_access)
    answer = run_module(module, capsys, registry="a")
    assert answer["failed"]
    assert "(docker)" in answer["msg"]
