"""The module against real registries, with a login and without."""

import base64
import importlib
import json
import sys

import pytest
import registry_manifest

from support import real_registry, registry_double
from support.real_registry import PASSWORD, USERNAME
from support.registry_double import INDEX, MANIFEST
from support.run_module import run_module

LOGIN = {"username": USERNAME, "password": PASSWORD}
AUTH = {"auth": (USERNAME, PASSWORD)}


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    with real_registry.running(tmp_path_factory.mktemp("private")) as running:
        yield running


@pytest.fixture(scope="module")
def digest(private):
    """The digest of team/app:v1 in the private registry."""
    return registry_double.put_image(f"http://{private.host}", "team/app", "v1", **AUTH)


@pytest.fixture(autouse=True)
def no_login(tmp_path, monkeypatch):
    """Do not read the stored logins of the machine's user."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)


def ask(capsys, *references, **options):
    images = [{"name": f"app{n}", "reference": one} for n, one in enumerate(references)]
    answer = run_module(registry_manifest, capsys, images=images, **options)
    assert not answer.get("changed")
    return answer


def test_an_image(private, digest, capsys):
    reference = f"{private.host}/team/app:v1"
    writes = private.writes()
    answer = ask(capsys, reference, **LOGIN)
    assert answer["images"] == [
        {
            "name": "app0",
            "reference": reference,
            "digest": digest,
            "media_type": MANIFEST,
            "platforms": [],
        }
    ]
    assert private.writes() == writes
    assert private.requests()[-1] == "HEAD /v2/team/app/manifests/v1"


def test_check_mode(private, digest, capsys):
    answer = ask(capsys, f"{private.host}/team/app:v1", _ansible_check_mode=True, **LOGIN)
    assert answer["images"][0]["digest"] == digest


def test_an_index(private, digest, capsys):
    whole = {"mediaType": MANIFEST, "digest": digest, "size": 1}
    document = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            {**whole, "platform": {"os": "linux", "architecture": "amd64"}},
            {**whole, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
            {**whole, "platform": {"os": "unknown", "architecture": "unknown"}},
            whole,
        ],
    }
    index = registry_double.put_manifest(
        f"http://{private.host}", "team/app", "many", INDEX, document, **AUTH
    )
    [image] = ask(capsys, f"{private.host}/team/app:many", **LOGIN)["images"]
    assert (image["digest"], image["media_type"]) == (index, INDEX)
    assert image["platforms"] == ["linux/amd64", "linux/arm64/v8"]


def test_a_reference_by_digest(private, digest, capsys):
    [image] = ask(capsys, f"{private.host}/team/app@{digest}", **LOGIN)["images"]
    assert image["digest"] == digest


def test_many_images_in_their_order_and_each_once(private, capsys):
    base = f"http://{private.host}"
    digests = [registry_double.put_image(base, f"many/app-{n}", "v1", **AUTH) for n in range(20)]
    before = len(private.requests())
    references = [f"{private.host}/many/app-{n}:v1" for n in range(20)]
    answer = ask(capsys, *references, *references, **LOGIN)
    assert [image["digest"] for image in answer["images"]] == digests * 2
    assert [image["name"] for image in answer["images"]] == [f"app{n}" for n in range(40)]
    # One request per image, and one for the registry.
    assert len(private.requests()) - before == 21


def test_missing_images_are_told_and_the_others_found(private, digest, capsys):
    host = private.host
    answer = ask(capsys, f"{host}/team/app:v2", f"{host}/team/app:v1", f"{host}/team/none", **LOGIN)
    assert answer["failed"]
    sentence = (
        "{} has no {}: push it first, ansible-playbook site.yml --tags images "
        "(image_registry names the registry)."
    )
    assert answer["msg"].split("\n") == [
        sentence.format(host, "team/app:v2"),
        sentence.format(host, "team/none:latest"),
    ]
    assert [image["name"] for image in answer["images"]] == ["app1"]
    assert answer["images"][0]["digest"] == digest


def test_a_wrong_password_does_not_show(private, capsys):
    wrong = {"username": USERNAME, "password": "not-this-one"}
    answer = ask(capsys, f"{private.host}/team/app:v1", f"{private.host}/team/app:v2", **wrong)
    assert answer["failed"]
    assert answer["msg"] == (
        f"The registry {private.host} refuses the login of tom: "
        "correct IMAGE_REGISTRY_USERNAME and IMAGE_REGISTRY_PASSWORD."
    )
    assert "not-this-one" not in json.dumps(answer)


def test_no_login(private, capsys):
    assert ask(capsys, f"{private.host}/team/app:v1")["msg"] == (
        f"The registry {private.host} wants a login: set IMAGE_REGISTRY_USERNAME and "
        f"IMAGE_REGISTRY_PASSWORD, or run: docker login {private.host}."
    )


@pytest.mark.parametrize("file", ["", "config.json", "other.json"])
def test_a_stored_login(private, digest, capsys, tmp_path, file):
    login = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
    stored = {"auths": {private.host: {"auth": login}, "a.example.com": {"auth": "YTpi"}}}
    (tmp_path / (file or "config.json")).write_text(json.dumps(stored))
    answer = ask(capsys, f"{private.host}/team/app:v1", docker_config=str(tmp_path / file))
    assert answer["images"][0]["digest"] == digest


def test_a_stored_login_that_is_wrong(private, capsys, tmp_path):
    login = base64.b64encode(b"tom:wrong").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {private.host: {"auth": login}}}))
    answer = ask(capsys, f"{private.host}/team/app:v1", docker_config=str(tmp_path))
    assert answer["msg"] == (
        f"The registry {private.host} refuses the login of tom: run: docker login "
        f"{private.host}, or set IMAGE_REGISTRY_USERNAME and IMAGE_REGISTRY_PASSWORD."
    )


@pytest.mark.parametrize(
    ("written", "credentials"),
    [
        ({"auths": {"r.example.com": {"identitytoken": "opaque"}}}, ("", "opaque")),
        ({"auths": {"https://index.docker.io/v1/": {"auth": "YTpi"}}}, None),
        ({"auths": {"r.example.com": {}}}, None),
        ({}, None),
    ],
    ids=["token", "of another registry", "empty", "none"],
)
def test_kinds_of_stored_login(tmp_path, written, credentials):
    (tmp_path / "config.json").write_text(json.dumps(written))
    found = registry_manifest.stored_login(str(tmp_path), "r.example.com")
    assert (found and (found.username, found.password)) == credentials
    assert found is None or found.stored


def test_docker_hub_is_stored_under_another_name(tmp_path):
    stored = {"auths": {"https://index.docker.io/v1/": {"auth": "YTpi"}}}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    found = registry_manifest.stored_login(str(tmp_path), "docker.io")
    assert (found.username, found.password) == ("a", "b")


def store(tmp_path, monkeypatch, secret):
    """Create a credential store that returns `secret`, and configure it."""
    program = tmp_path / "docker-credential-of-test"
    program.write_text(f"#!/bin/sh\necho '{json.dumps(secret)}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "config.json").write_text('{"credsStore": "of-test"}')


@pytest.mark.parametrize(
    ("secret", "credentials"),
    [
        ({"Username": "a", "Secret": "b"}, ("a", "b")),
        ({"Username": "<token>", "Secret": "opaque"}, ("", "opaque")),
    ],
)
def test_a_credential_store(tmp_path, monkeypatch, secret, credentials):
    store(tmp_path, monkeypatch, secret)
    found = registry_manifest.stored_login(str(tmp_path), "r.example.com")
    assert (found.username, found.password) == credentials


@pytest.mark.filterwarnings("ignore:docker-credential-of-nobody not installed")
def test_a_store_that_does_not_work(private, capsys, tmp_path):
    (tmp_path / "config.json").write_text('{"credsStore": "of-nobody"}')
    answer = ask(capsys, f"{private.host}/team/app:v1", docker_config=str(tmp_path))
    assert answer["failed"]
    assert answer["msg"].startswith("The docker client's stored login cannot be read: ")


def test_a_registry_for_all(capsys, tmp_path):
    with real_registry.running(tmp_path / "public", private=False) as public:
        digest = registry_double.put_image(f"http://{public.host}", "app", "v1")
        for login in ({}, LOGIN):
            [image] = ask(capsys, f"{public.host}/app:v1", **login)["images"]
            assert image["digest"] == digest
        # Ansible would mask it in the digest.
        part = {"username": USERNAME, "password": digest[-12:]}
        answer = ask(capsys, f"{public.host}/app:v1", **part)
        assert answer["failed"]
        assert answer["msg"] == registry_manifest.HIDDEN


@pytest.fixture
def module_without_docker(monkeypatch):
    with monkeypatch.context() as patch:
        for name in ("docker", "docker.errors", "docker.auth"):
            patch.setitem(sys.modules, name, None)
        yield importlib.reload(registry_manifest)
    importlib.reload(registry_manifest)


def test_no_docker_package(module_without_docker, capsys):
    answer = run_module(module_without_docker, capsys, images=[])
    assert answer["failed"]
    assert "(docker)" in answer["msg"]
