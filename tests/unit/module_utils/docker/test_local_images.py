"""Looking at the engine's images and changing their names, on a real engine."""

from __future__ import annotations

import subprocess

import pytest
from ansible.module_utils.docker_ml_api.docker import local_images
from ansible.module_utils.docker_ml_api.docker.local_images import RECIPE_LABEL, EngineError, Image

from support import real_engine


@pytest.fixture
def engine():
    made = real_engine.Engine()
    try:
        yield made
    finally:
        made.remove()


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("python", "python:latest"),
        ("python:3", "python:3"),
        ("127.0.0.1:5000/python", "127.0.0.1:5000/python:latest"),
        ("127.0.0.1:5000/a/python:3", "127.0.0.1:5000/a/python:3"),
    ],
)
def test_tagged(reference, expected):
    assert local_images.tagged(reference) == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("docker.io/library/python:3", "python:3"),
        ("index.docker.io/library/python:3", "python:3"),
        ("docker.io/team/app:1", "team/app:1"),
        ("mirror/library/python:3", "mirror/library/python:3"),
    ],
)
def test_familiar(reference, expected):
    assert local_images.familiar(reference) == expected


def test_inspect_finds_those_that_are_there(engine):
    one, two = engine.name("one:1"), engine.name("two")
    one_id = engine.make_image(one, {"a": "b"})
    engine.make_image(f"{two}:latest", content="2")
    found = local_images.inspect("docker", [one, two, engine.name("three")])
    assert set(found) == {one, two}
    assert found[one].id == one_id
    assert found[one].label("a") == "b"
    assert found[one].label("c") == ""
    assert local_images.inspect("docker", [engine.name("three")]) == {}
    assert local_images.inspect("/no/such/client", []) == {}


def test_inspect_knows_two_names_of_one_image(engine):
    names = [engine.name("one:1"), engine.name("one:2")]
    engine.make_image(names[0])
    subprocess.run(["docker", "tag", *names], check=True)
    assert set(local_images.inspect("docker", names)) == set(names)


def test_an_engine_that_does_not_answer(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:1"):
        local_images.inspect("docker", ["a"])
    with pytest.raises(EngineError, match="cannot be run"):
        local_images.inspect("/no/such/client", ["a"])


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda cli: local_images.inspect(cli, ["a"]), "The Docker client said nothing"),
        (lambda cli: local_images.run(cli, ["pull", "a"], 10), "docker pull failed"),
    ],
)
def test_a_client_that_fails_without_a_word(tmp_path, run, message):
    cli = tmp_path / "docker"
    cli.write_text("#!/bin/sh\nexit 1\n")
    cli.chmod(0o755)
    with pytest.raises(EngineError, match=message):
        run(str(cli))


def test_run_tells_the_engines_own_words(engine):
    with pytest.raises(EngineError) as error:
        local_images.run("docker", ["tag", engine.name("nosuch:1"), engine.name("a:1")], 10)
    assert str(error.value).startswith("No such image")


def test_import_names_an_image_with_its_changes(engine, tmp_path):
    tar = tmp_path / "root.tar"
    subprocess.run(["tar", "-cf", tar, "-C", tmp_path, "--files-from=/dev/null"], check=True)
    name = engine.name("made:1")
    quoted = r'LABEL "a"="say \"\$x\""'
    made = local_images.import_tar("docker", tar, name, [quoted, 'ENV A="b c"'], timeout=60)
    found = local_images.inspect("docker", [name])[name]
    assert found.id == made
    assert found.label("a") == 'say "$x"'


@pytest.mark.parametrize(
    ("labels", "named", "removed"),
    [
        pytest.param({RECIPE_LABEL: "x"}, False, True, id="ours, without a name"),
        pytest.param({RECIPE_LABEL: "x"}, True, False, id="ours, with a name left"),
        pytest.param({}, False, False, id="somebody else's"),
    ],
)
def test_a_replaced_image_goes_if_it_is_ours(engine, labels, named, removed):
    name = engine.name("old:1")
    image_id = engine.make_image(name, labels, content=name)
    image = local_images.inspect("docker", [name])[name]
    if not named:
        engine.make_image(name, content="new")
    local_images.remove_replaced("docker", image)
    left = [item["Id"] for item in engine.client.api.images(all=True)]
    assert (image_id not in left) == removed
    if not (named or removed):
        engine.client.images.remove(image_id)


def test_a_replaced_image_that_a_container_needs_stays(engine):
    name = engine.name("old:1")
    image_id = engine.make_image(name, {RECIPE_LABEL: "x"}, content=name)
    image = local_images.inspect("docker", [name])[name]
    container = engine.client.containers.create(name, "x", name=engine.name("c"))
    engine.make_image(name, content="new")
    local_images.remove_replaced("docker", image)
    assert engine.client.images.get(image_id).id == image_id
    container.remove()
    local_images.remove_replaced("docker", image)
    assert image_id not in [item["Id"] for item in engine.client.api.images(all=True)]
    local_images.remove_replaced("docker", image)


def test_an_image_that_is_gone_needs_no_removal():
    local_images.remove_replaced(
        "docker", Image("sha256:" + "0" * 64, labels=((RECIPE_LABEL, "x"),))
    )
