"""Builds with a stand-in for the docker command; the role's tests use real engines."""

import json
import os
import sys
from pathlib import Path

import pytest
from ansible.module_utils.docker_ml_api.docker import image_build
from ansible.module_utils.docker_ml_api.docker.image_build import Build, Settings

# Records what it was given, and behaves as the folder's name says.
_DOCKER = """\
#!{python}
import json, os, pathlib, sys, time
words = sys.argv[1:]
image, folder = words[words.index("--tag") + 1], words[-1]
secrets = dict(
    pair.removeprefix("id=").split(",src=") for flag, pair in zip(words, words[1:])
    if flag == "--secret"
)
told = {{
    "words": words,
    "secrets": {{name: pathlib.Path(path).read_text() for name, path in secrets.items()}},
    "modes": [oct(os.stat(path).st_mode & 0o777) for path in secrets.values()],
    "environment": {{name: os.environ.get(name) for name in ("http_proxy", "DOCKER_BUILDKIT")}},
}}
place = pathlib.Path("{folder}")
(place / (image + ".told")).write_text(json.dumps(told))
if folder == "waits for the other":
    while len(list(place.glob("*.told"))) < 2:
        time.sleep(0.01)
if folder == "never ends":
    time.sleep(600)
if folder == "fails":
    print("\\n".join(f"step {{n}}" for n in range(40)), file=sys.stderr)
    sys.exit(1)
if folder == "has no space":
    sys.exit("write /x: No space left on device")
"""


@pytest.fixture
def docker(tmp_path):
    """A docker command that records what it was given in files of its folder."""
    path = tmp_path / "docker"
    path.write_text(_DOCKER.format(python=sys.executable, folder=tmp_path))
    path.chmod(0o700)
    return path


def settings(docker, **others):
    return Settings(cli=str(docker), **{"load": True, "timeout": 60, **others})


def told(docker, image):
    return json.loads((docker.parent / f"{image}.told").read_text())


@pytest.mark.parametrize(
    ("given", "secrets"),
    [
        (({}, {}), {}),
        (({"index-url": ""}, {"GOPROXY": ""}), {}),
        (
            ({"index-url": "u", "trusted-host": "h"}, {}),
            {"pip_conf": "[global]\nindex-url = u\ntrusted-host = h"},
        ),
        (
            ({}, {"GOPROXY": "u", "GOSUMDB": "", "GOPRIVATE": "*.x"}),
            {"go_env": "GOPROXY=u\nGOPRIVATE=*.x"},
        ),
    ],
)
def test_secrets(given, secrets):
    assert image_build.secrets_of(*given) == secrets


def test_what_a_build_is_given(docker):
    build = Build("app:1", "folder", {"a": "1", "b": "x y"}, {"BASE": "base:1"})
    common = settings(
        docker,
        secrets={"pip_conf": "text"},
        ca_bundle=str(docker),
        proxies={"http_proxy": "http://tom:secret@proxy"},
    )

    assert image_build.build_all([build], common, 1) == {}

    seen = told(docker, "app:1")
    scratch = seen["words"][-2].partition(",src=")[2]
    assert seen["words"] == [
        *("build", "--progress=plain", "--load", "--tag", "app:1"),
        *("--label", "a=1", "--label", "b=x y", "--build-arg", "BASE=base:1"),
        *("--build-arg", "http_proxy", "--secret", f"id=ca_bundle,src={docker}"),
        *("--secret", f"id=pip_conf,src={scratch}", "folder"),
    ]
    assert seen["secrets"] == {"ca_bundle": docker.read_text(), "pip_conf": "text"}
    assert seen["modes"] == ["0o700", "0o600"]
    assert seen["environment"] == {
        "http_proxy": "http://tom:secret@proxy",
        "DOCKER_BUILDKIT": "1",
    }
    assert not Path(scratch).parent.exists()


def test_an_older_client_loads_by_itself(docker):
    assert image_build.build_all([Build("app:1", "folder")], settings(docker, load=False), 1) == {}
    assert told(docker, "app:1")["words"] == [
        "build",
        "--progress=plain",
        "--tag",
        "app:1",
        "folder",
    ]


def test_side_by_side(docker):
    builds = [Build(f"app:{number}", "waits for the other") for number in (1, 2)]
    assert image_build.build_all(builds, settings(docker), 2) == {}


def test_one_that_fails_does_not_stop_the_others(docker):
    builds = [Build("app:1", "fails"), Build("app:2", "folder")]
    problems = image_build.build_all(builds, settings(docker), 1)
    assert list(problems) == ["app:1"]
    assert told(docker, "app:2")


FAILED = "app:1 could not be built from fails; an earlier image of that name is kept. "


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            Build("app:1", "fails"),
            "\n".join([FAILED + "The build's last lines:", *(f"step {n}" for n in range(25, 40))]),
        ),
        (
            Build("app:1", "fails", missing_bases=("base:1", "base:2")),
            "from fails (not on this engine: the base image base:1, base:2); an earlier image",
        ),
        (
            Build("app:1", "has no space"),
            (
                "app:1 could not be built, for the engine has no disk space left: free some "
                "(ansible-playbook site.yml --tags prune) and run again."
            ),
        ),
    ],
)
def test_why_it_failed(docker, build, message):
    [problem] = image_build.build_all([build], settings(docker), 1).values()
    assert message in problem


def test_one_that_does_not_end_is_ended(docker):
    common = settings(docker, timeout=0.5)
    [problem] = image_build.build_all([Build("app:1", "never ends")], common, 1).values()
    assert problem.startswith("app:1 was not built within 0.5 s (image_build_timeout). The build's")


def test_one_that_does_not_end_when_it_is_asked_to(docker, monkeypatch):
    monkeypatch.setattr(image_build, "_ENDS_WITHIN", 0.1)
    docker.write_text("#!/bin/sh\ntrap '' TERM\necho begun\nwhile :; do sleep 0.05; done\n")
    [problem] = image_build.build_all(
        [Build("app:1", "folder")], settings(docker, timeout=0.5), 1
    ).values()
    assert problem.endswith("The build's last lines:\nbegun")


def test_no_command():
    with pytest.raises(OSError, match="No such file"):
        image_build.build_all([Build("app:1", "folder")], settings("/nonexistent/docker"), 2)


def test_its_environment_is_kept(docker, monkeypatch):
    monkeypatch.setenv("DOCKER_BUILDKIT", "0")
    image_build.build_all([Build("app:1", "folder")], settings(docker), 1)
    assert os.environ["DOCKER_BUILDKIT"] == "0"
