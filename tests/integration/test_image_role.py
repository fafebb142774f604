"""The role image on the real engine, with a real registry that requires a login."""

import base64
import hashlib
import json
import os
import tempfile
from pathlib import Path

import pytest

from support import ports, real_registry
from support.real_registry import PASSWORD, USERNAME
from support.role_play import Play

BUILD = "image : Build {}"
PUSH = "image : Push the images"
IMAGES = "--tags=images"


@pytest.fixture
def scratch():
    """A folder for temporary files, with a path short enough for Ansible's socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def play(tmp_path):
    made = Play(tmp_path)
    try:
        yield made
    finally:
        made.engine.remove()


@pytest.fixture
def built(play):
    assert play.succeed(IMAGES).changed == [f"image : Build {play.image}"]
    return play


def change_file(play):
    (play.app / "index.html").write_text("changed")


def change_argument(play):
    play.build_args["GREETING"] = "two"


def change_label(play):
    play.labels["another"] = "label"


def lose_image(play):
    play.engine.client.images.remove(play.image, force=True)


CHANGES = {
    "file": (change_file, "sources changed"),
    "base image": (lambda play: play.make_base("2"), "base image changed"),
    "argument": (change_argument, "build arguments or labels changed"),
    "label": (change_label, "build arguments or labels changed"),
    "image lost": (lose_image, "no image yet"),
}


def test_each_change_is_built_once(built):
    for name, (change, reason) in CHANGES.items():
        change(built)
        said = built.succeed(IMAGES, "--check", "--diff")
        expected = f"Would build {built.image} from {built.app}: {reason}."
        assert expected in said.messages, name
        assert len(said.changed) == 1, name
        assert said.facts["image_references"]["app"]["up_to_date"] is False, name

        done = built.succeed(IMAGES)
        assert done.changed == [f"image : Build {built.image}"], name
        assert done.facts["image_references"] == {
            "app": {
                "name": "app",
                "image": built.image,
                "reference": built.image,
                "id": built.image_id(),
                "digest": "",
                "up_to_date": True,
            }
        }, name
        assert built.images() == 1, name  # the replaced image was removed
    assert built.succeed(IMAGES).changed == []


def test_nothing_is_built_without_a_change(built):
    before = built.image_id()
    (built.app / "x.pyc").write_text("ignored")
    os.utime(built.app / "index.html", (1, 1))
    assert built.succeed(IMAGES, "--check").changed == []
    assert built.succeed(IMAGES).changed == []
    assert built.image_id() == before


def test_a_broken_dockerfile(built):
    before = built.image_id()
    with (built.app / "Dockerfile").open("a") as stream:
        stream.write('RUN ["/busybox", "sh", "-c", "echo the reason; exit 7"]\n')
    message = built.fail(IMAGES)
    assert message.startswith(f"{built.image} could not be built from {built.app}; an earlier")
    assert "the reason" in message
    assert "exit code: 7" in message
    assert len(message.splitlines()) <= 16
    assert built.image_id() == before


def test_a_full_disk(built):
    with (built.app / "Dockerfile").open("a") as stream:
        stream.write(
            'RUN ["/busybox", "sh", "-c", "echo write: No space left on device; exit 1"]\n'
        )
    assert built.fail(IMAGES) == (
        f"{built.image} could not be built, for the engine has no disk space left: free some "
        "(ansible-playbook site.yml --tags prune) and run again."
    )


def test_a_build_that_does_not_end(play):
    with (play.app / "Dockerfile").open("a") as stream:
        stream.write('RUN ["/busybox", "sleep", "600"]\n')
    play.variables["image_build_timeout"] = 3
    assert "was not built within 3 s (image_build_timeout)" in play.fail(IMAGES)


def test_a_base_image_that_is_nowhere(play):
    play.build_args["BASE_IMAGE"] = f"127.0.0.1:{ports.closed()}/nowhere:1"
    message = play.fail(IMAGES)
    assert f"(not on this engine: the base image {play.build_args['BASE_IMAGE']})" in message


def test_the_build_gets_secrets_that_do_not_stay(play, tmp_path, scratch):
    (play.app / "Dockerfile").write_text(
        "ARG BASE_IMAGE\n"
        "FROM ${BASE_IMAGE}\n"
        f'LABEL docker-ml-api.test="{play.engine.prefix}"\n'
        'SHELL ["/busybox", "sh", "-c"]\n'
        "RUN --mount=type=secret,id=pip_conf,required=false"
        " --mount=type=secret,id=go_env,required=false"
        " --mount=type=secret,id=ca_bundle,required=false"
        # The unique name prevents the builder from using an earlier test's layer.
        f" echo {play.engine.prefix} && cd /run/secrets && /busybox sha256sum * > /sums"
        ' && printf %s "$http_proxy" | /busybox sha256sum >> /sums\n'
    )
    (tmp_path / "ca.pem").write_text("certificates")
    play.variables["image_ca_bundle"] = str(tmp_path / "ca.pem")
    environment = {
        "PIP_INDEX_URL": "https://user:word@pip.example.com/simple",
        "PIP_TRUSTED_HOST": "pip.example.com",
        "PIP_EXTRA_INDEX_URL": "",
        "GOPROXY": "https://user:word@go.example.com",
        "GONOSUMDB": "*.example.com",
        "http_proxy": "http://user:word'$x@127.0.0.1:1",
        "no_proxy": "127.0.0.1",
        "TMPDIR": str(scratch),
    }
    play.succeed(IMAGES, **environment)
    assert list(scratch.glob("*.build")) == []

    container = play.engine.client.containers.create(play.image, ["/busybox", "cat", "/sums"])
    try:
        container.start()
        container.wait()
        sums = container.logs().decode().split()
    finally:
        container.remove(force=True)
    texts = {
        "ca_bundle": "certificates",
        "go_env": f"GOPROXY={environment['GOPROXY']}\nGONOSUMDB=*.example.com",
        "pip_conf": (
            f"[global]\nindex-url = {environment['PIP_INDEX_URL']}\ntrusted-host = pip.example.com"
        ),
        "-": environment["http_proxy"],
    }
    expected = [[hashlib.sha256(text.encode()).hexdigest(), name] for name, text in texts.items()]
    assert [sums[n : n + 2] for n in range(0, len(sums), 2)] == expected
    history = json.dumps(play.engine.client.images.get(play.image).history())
    assert "word" not in history
    assert play.succeed(IMAGES, **{**environment, "http_proxy": "http://other:1"}).changed == []


# Case: (what to set, part of the message)
WRONG_INPUT = {
    "no tag": ({"image": "app"}, "must be a name in lower case with a tag"),
    "upper case": ({"image": "App:v1"}, "must be a name in lower case with a tag"),
    "no folder": ({"folder": "/nonexistent"}, "The folder of app does not exist: /nonexistent"),
    "no Dockerfile": ({"folder": "/etc"}, "The folder of app has no Dockerfile: /etc"),
}


def test_a_number_of_builds_that_is_none(play):
    play.variables["image_builds_at_once"] = 0
    assert "image_builds_at_once is 0: set it to 1 or more." in play.fail(IMAGES)


@pytest.mark.parametrize(("setting", "message"), WRONG_INPUT.values(), ids=WRONG_INPUT)
def test_wrong_input(play, setting, message):
    app = {**play.inventory()["image_apps"][0], **setting}
    play.variables["image_apps"] = [app]
    assert message in play.fail(IMAGES, DOCKER_HOST="unix:///nonexistent")


def test_two_apps_with_one_image(play):
    app = play.inventory()["image_apps"][0]
    play.variables["image_apps"] = [app, {**app, "name": "other"}]
    assert f"Two apps have the image {play.image}" in play.fail(IMAGES)


def test_no_engine(play):
    message = play.fail(IMAGES, DOCKER_HOST="unix:///nonexistent")
    assert "run the docker stage first" in message
    said = play.succeed(IMAGES, "--check", "--diff", DOCKER_HOST="unix:///nonexistent")
    assert f"Would build {play.image} from {play.app}: no image yet." in said.messages


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with real_registry.running(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def private(play, registry):
    play.variables |= {
        "image_registry": f"{registry.host}/team",
        "image_registry_username": USERNAME,
        "image_registry_password": PASSWORD,
    }
    return play


def test_push_when_the_registry_lacks_it(private, registry, tmp_path, scratch):
    environment = {"TMPDIR": str(scratch), "DOCKER_CONFIG": str(tmp_path / "config")}
    reference = f"{registry.host}/team/{private.image}"

    said = private.succeed(IMAGES, "--check", **environment)
    assert f"Would push {reference}." in said.messages
    assert registry.writes() == []

    first = private.succeed(IMAGES, **environment)
    assert first.changed == [f"image : Build {private.image}", PUSH]
    facts = first.facts["image_references"]["app"]
    pulled = private.engine.client.images.get_registry_data(
        reference, auth_config={"username": USERNAME, "password": PASSWORD}
    )
    assert (facts["reference"], facts["digest"]) == (reference, pulled.id)

    writes = registry.writes()
    assert writes
    assert private.succeed(IMAGES, **environment).changed == []
    assert private.succeed(IMAGES, "--check", **environment).changed == []
    assert registry.writes() == writes

    (private.app / "index.html").write_text("changed")
    assert len(private.succeed(IMAGES, "--check", **environment).changed) == 2
    assert registry.writes() == writes
    third = private.succeed(IMAGES, **environment)
    assert third.changed == [f"image : Build {private.image}", PUSH]
    assert third.facts["image_references"]["app"]["digest"] != facts["digest"]

    # Neither the password nor a login is shown or left behind.
    assert PASSWORD not in first.text + third.text
    assert list(scratch.glob("*.login")) == []
    assert not (tmp_path / "config" / "config.json").exists()


def test_the_login_of_docker_login(private, registry, tmp_path):
    config = tmp_path / "config"
    config.mkdir()
    private.variables |= {"image_registry_username": "", "image_registry_password": ""}
    message = private.fail(IMAGES, DOCKER_CONFIG=str(config))
    assert f"The registry {registry.host} wants a login" in message

    login = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
    (config / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": login}}}))
    before = (config / "config.json").read_text()
    assert PUSH in private.succeed(IMAGES, DOCKER_CONFIG=str(config)).changed
    assert (config / "config.json").read_text() == before


# Case: (what to set, part of the message)
WRONG_REGISTRY = {
    "an account alone": ({"image_registry": "account"}, "image_registry must be a registry with"),
    "upper case": ({"image_registry": "docker.io/Me"}, "image_registry must be a registry with"),
    "an address": ({"image_registry": "https://a.b/c"}, "image_registry must be a registry with"),
    "no password": ({"image_registry_password": ""}, "image_registry_password is missing for"),
    "no user": ({"image_registry_username": ""}, "image_registry_username is missing for"),
    "wrong password": ({"image_registry_password": "no"}, "refuses the password of tom"),
    "nobody there": ({"image_registry": "127.0.0.1:1/team"}, "127.0.0.1:1 cannot be reached"),
}


@pytest.mark.parametrize(("setting", "message"), WRONG_REGISTRY.values(), ids=WRONG_REGISTRY)
def test_wrong_registry(private, setting, message):
    private.variables |= setting
    assert message in private.fail(IMAGES)
    assert private.images() == 0


def test_teardown_removes_only_what_was_built_here(private):
    private.succeed(IMAGES)
    foreign = private.engine.name("other:v1")
    private.engine.make_image(foreign)
    app = private.inventory()["image_apps"][0]
    private.variables["image_apps"] = [app, {**app, "name": "other", "image": foreign}]

    assert len(private.succeed("--tags=teardown", "--check").changed) == 2
    first = private.succeed("--tags=teardown")
    assert first.changed == ["image : Remove them"] * 2
    assert f"The image {foreign} was not built by this project and stays." in first.messages
    assert private.images() == 0
    assert private.engine.client.images.get(foreign)
    assert private.succeed("--tags=teardown").changed == []
