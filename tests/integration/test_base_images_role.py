"""Role base_images, run by ansible-playbook on a real engine with a real registry."""

from __future__ import annotations

import json
import subprocess
import uuid

import pytest

from support import real_registry
from support.ansible_run import run_playbook
from support.real_engine import BASE_IMAGES_CACHE

CLOSED = "127.0.0.1:1"
NAMES = ["golang", "python", "runtime"]
SAYING = "Say which way was taken"
UNKNOWN = "sha256:" + "0" * 64


def docker(*arguments):
    return subprocess.run(
        ["docker", *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


class Role:
    """The role with a separate repository, on the inventory's local host."""

    def __init__(self, folder):
        self.repository = f"it{uuid.uuid4().hex[:8]}"
        self.playbook = folder / "play.yml"
        self.playbook.write_text(
            json.dumps(
                [
                    {
                        "hosts": "docker_hosts",
                        "tasks": [
                            {"import_role": {"name": "base_images", "tasks_from": "preflight"}}
                        ],
                    },
                    {"hosts": "docker_hosts", "roles": ["base_images"]},
                ]
            )
        )

    def run(self, *arguments, env=None, **variables):
        settings = {
            "base_images_repository": self.repository,
            "base_images_cache": str(BASE_IMAGES_CACHE),
            "base_images_registry": CLOSED,
        } | variables
        return run_playbook(
            "--extra-vars", json.dumps(settings), *arguments, self.playbook, **(env or {})
        )

    def image(self, name):
        """Return the image's ID; empty if there is no image."""
        return docker("images", "--no-trunc", "--quiet", f"{self.repository}/{name}:base")

    def ids(self):
        return {name: self.image(name) for name in NAMES}

    def remove(self):
        for reference in docker(
            "images", f"--filter=reference={self.repository}/*", "--format={{.Repository}}:{{.Tag}}"
        ).split():
            docker("rmi", "--force", reference)


def said(run):
    """Return the role's message about the source of the images."""
    return "".join(
        item["msg"] for name, item in run.items if name.endswith(SAYING) and "msg" in item
    )


def imported(run):
    return sorted(
        item["item"]["reference"].partition("/")[2]
        for name, item in run.items
        if name.endswith("Import the images") and item.get("changed")
    )


@pytest.fixture
def role(tmp_path):
    made = Role(tmp_path)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def bootstrapped(tmp_path_factory):
    """All three images, bootstrapped because no registry answers."""
    made = Role(tmp_path_factory.mktemp("bootstrapped"))
    made.first = made.run().ok()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def registry(tmp_path_factory, bootstrapped):
    """A mirror with an image under the name of each official image, and their digests.

    All three are copies of the smallest image; a pulled image is recognized by its digest.
    """
    with real_registry.running(tmp_path_factory.mktemp("registry"), private=False) as running:
        digests = {}
        for name, image in {"golang": "golang", "python": "python", "runtime": "busybox"}.items():
            repository = f"{running.host}/library/{image}"
            docker("tag", f"{bootstrapped.repository}/runtime:base", f"{repository}:1")
            docker("push", "--quiet", f"{repository}:1")
            known = docker("image", "inspect", "--format={{json .RepoDigests}}", f"{repository}:1")
            (digest,) = [item for item in json.loads(known) if item.startswith(f"{repository}@")]
            docker("rmi", f"{repository}:1")
            forget(digest)
            digests[name] = digest.partition("@")[2]
        yield running, digests
        for image in ("golang", "python", "busybox"):
            forget(f"{running.host}/library/{image}@{digests['runtime']}")


def forget(reference):
    """Remove a name, which the engine may already have removed along with another one."""
    subprocess.run(["docker", "rmi", reference], check=False, capture_output=True)


def pinned(registry, **others):
    """Return variables with which the role pulls from the mirror."""
    running, digests = registry
    pulls = {name: {"tag": "1", "digest": digest} for name, digest in digests.items()} | others
    return {
        "base_images_registry": running.host,
        "base_images_catalogue": {name: {"pull": pull} for name, pull in pulls.items()},
    }


def test_auto_falls_back_and_says_so(bootstrapped):
    first = bootstrapped.first
    assert first.changed
    assert said(first).startswith("Base images: golang, python and runtime bootstrapped from ")
    assert f"because {CLOSED} does not answer" in said(first)
    assert "connection refused" in said(first)
    assert imported(first) == ["golang:base", "python:base", "runtime:base"]


@pytest.mark.parametrize("source", ["auto", "bootstrap"])
def test_a_second_run_changes_nothing(bootstrapped, source):
    before = bootstrapped.ids()
    again = bootstrapped.run(base_images_source=source).ok()
    assert again.changed == []
    assert not said(again)
    assert bootstrapped.ids() == before


@pytest.mark.parametrize(
    ("name", "command", "expected"),
    [
        (
            "golang",
            (
                "cd $(mktemp -d) && go mod init example.com/a >/dev/null 2>&1 &&"
                " printf 'package main;"
                ' import ("fmt"; _ "net/http"); func main() { fmt.Println("built") }\' > a.go &&'
                " CGO_ENABLED=0 go run ."
            ),
            "built",
        ),
        ("golang", "case $(go version) in *go1.?\\ *|*go1.1[0-8]*) ;; *) echo new;; esac", "new"),
        (
            "python",
            (
                "python3 -m venv /v && /v/bin/pip --version | cut -d' ' -f1 && "
                "/v/bin/python -c 'import ssl, sqlite3, http.server'"
            ),
            "pip",
        ),
        ("python", "find /usr/share/doc /usr/share/man /var/lib/apt/lists -type f | wc -l", "1"),
        (
            "runtime",
            "id -u nobody; id -u nonroot; wget --help 2>&1 | grep -c Usage",
            "65534\n65532\n1",
        ),
        (
            "runtime",
            "grep -c BEGIN /etc/ssl/certs/ca-certificates.crt | grep -c '^1[0-9][0-9]$'",
            "1",
        ),
        ("runtime", "touch /tmp/a && stat -c %a /tmp", "1777"),
    ],
)
def test_what_is_in_the_images(bootstrapped, name, command, expected):
    reference = f"{bootstrapped.repository}/{name}:base"
    assert docker("run", "--rm", "--network=none", reference, "sh", "-c", command) == expected


def test_nothing_of_the_host_is_in_the_images(bootstrapped):
    for name in ("golang", "python"):
        files = docker(
            *("run", "--rm", f"{bootstrapped.repository}/{name}:base"),
            *("sh", "-c", "cat /etc/apt/apt.conf.d/*; ls /etc/apt/apt.conf.d /usr/local/share/*"),
        )
        assert "Proxy" not in files
        assert "CAInfo" not in files
        assert "mmdebstrap" not in files
        assert ".crt" not in files


def test_sizes_and_labels(bootstrapped):
    for name, megabytes in {"runtime": 5, "python": 200, "golang": 500}.items():
        (image,) = json.loads(docker("image", "inspect", f"{bootstrapped.repository}/{name}:base"))
        assert image["Size"] < megabytes * 1_000_000
        assert image["Config"]["Labels"]["app.kubernetes.io/managed-by"] == "docker-ml-api"
        assert image["Config"]["Labels"]["docker-ml-api.recipe"].startswith("sha256:")


def test_a_changed_recipe_makes_exactly_that_image(bootstrapped):
    before = bootstrapped.ids()
    catalogue = {"runtime": {"bootstrap": {"environment": {"A": "b"}}}}
    run = bootstrapped.run(base_images_catalogue=catalogue).ok()
    assert imported(run) == ["runtime:base"]
    after = bootstrapped.ids()
    assert {name for name in NAMES if before[name] != after[name]} == {"runtime"}
    assert bootstrapped.run(base_images_catalogue=catalogue).ok().changed == []
    assert imported(bootstrapped.run().ok()) == ["runtime:base"]


def test_the_official_images_are_pulled_by_digest(role, registry):
    settings = pinned(registry) | {"base_images_source": "pull"}
    planned = role.run("--check", "--diff", **settings).ok()
    assert len(planned.changed) == 1
    assert not any(role.ids().values())

    run = role.run(**settings).ok()
    assert len(run.changed) == 1
    assert said(run) == f"Base images: golang, python and runtime pulled from {registry[0].host}."
    for name, digest in registry[1].items():
        known = docker("image", "inspect", "--format={{.RepoDigests}}", role.image(name))
        assert digest in known

    asked = registry[0].requests()
    for source in ("pull", "auto"):
        again = role.run(**settings | {"base_images_source": source}).ok()
        assert again.changed == []
    assert registry[0].requests() == asked


def test_each_way_replaces_the_other(role, registry):
    # A recipe that differs from that of the pushed images, which otherwise suit both sources.
    settings = pinned(registry) | {
        "base_images_names": ["runtime"],
        "base_images_labels": {"test": role.repository},
    }
    role.run(**settings, base_images_source="bootstrap").ok()
    made = role.image("runtime")
    run = role.run(**settings, base_images_source="pull").ok()
    assert len(run.changed) == 1
    pulled = role.image("runtime")
    assert pulled != made
    assert imported(role.run(**settings, base_images_source="bootstrap").ok()) == ["runtime:base"]
    assert role.image("runtime") != pulled


@pytest.mark.parametrize("source", ["auto", "pull"])
@pytest.mark.parametrize(
    "wrong",
    [{"tag": "1", "digest": UNKNOWN}, {"tag": "nosuch"}],
    ids=["unknown digest", "unknown tag"],
)
def test_a_wrong_pin_is_one_sentence_and_changes_nothing(role, registry, wrong, source):
    run = role.run(**pinned(registry, runtime=wrong), base_images_source=source)
    assert run.status != 0
    assert run.changed == []
    assert "library/busybox" in run.failure
    assert "base_images_catalogue.runtime.pull" in run.failure
    assert "base_images_registry" in run.failure
    assert "\n" not in run.failure
    assert not any(role.ids().values())


def test_a_misspelt_tag_beside_a_good_digest(role, registry):
    wrong = {"tag": "nosuch", "digest": registry[1]["runtime"]}
    run = role.run(**pinned(registry, runtime=wrong))
    assert "library/busybox:nosuch" in run.failure
    assert not any(role.ids().values())


def test_a_registry_that_is_down(role):
    run = role.run(base_images_source="pull")
    assert run.status != 0
    assert run.changed == []
    assert f"does not answer for {CLOSED}" in run.failure
    assert "base_images_source=bootstrap" in run.failure
    assert "base_images_registry" in run.failure


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"base_images_source": "download"}, "base_images_source must be one of: auto, pull, boo"),
        ({"base_images_names": ["pyton"]}, "it knows golang, python, runtime"),
        ({"base_images_registry": "https://a"}, "base_images_registry is 'https://a'"),
        (
            {"base_images_catalogue": {"python": {"pull": {"digest": "latest"}}}},
            "base_images_catalogue.python.pull.digest is 'latest'",
        ),
    ],
)
def test_wrong_inputs_end_in_the_preflight(role, variables, message):
    run = role.run(**variables)
    assert run.status != 0
    assert run.changed == []
    assert message in run.failure
    assert len(run.tasks) <= 3


def test_check_mode_without_an_engine(role, tmp_path):
    # No engine answers: the preflight must pass, and nothing may call the engine.
    run = role.run("--check", env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}).ok()
    assert "pulled from" in said(run)
    made = role.run(
        "--check",
        env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"},
        base_images_source="bootstrap",
    ).ok()
    assert imported(made) == ["golang:base", "python:base", "runtime:base"]


def test_without_an_engine_the_docker_stage_is_named(role, tmp_path):
    run = role.run(env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert run.status != 0
    assert "--tags docker" in run.failure
