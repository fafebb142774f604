"""Wrong input: one sentence that names the fix, and nothing changed."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.site_yml import Site


@pytest.fixture(scope="module", autouse=True)
def running(site: Site) -> dict[str, str]:
    """The running apps, which wrong input must not affect."""
    run = site.run()
    assert run.status == 0, run.failure
    return site.state()


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        pytest.param(
            {"base_images_source": "nonsense"},
            ["base_images_source", "pull", "bootstrap", "auto"],
            id="unknown source of base images",
        ),
        pytest.param(
            {"docker_host_package_source": "nonsense"},
            ["docker_host_package_source", "distribution", "docker"],
            id="unknown source of Docker packages",
        ),
        pytest.param({"test_api_port": 70000}, ["70000", "65535"], id="no such port"),
        pytest.param(
            {"image_registry": "127.0.0.1:1/team", "image_registry_username": "robert"},
            ["image_registry_password", "IMAGE_REGISTRY_PASSWORD"],
            id="registry password missing",
        ),
        pytest.param(
            {"image_registry": "127.0.0.1:1/team"},
            ["127.0.0.1:1", "image_registry"],
            id="registry unreachable",
        ),
        pytest.param({"apps_folder": "/nonexistent"}, ["/nonexistent"], id="no such folder"),
        pytest.param(
            {"docker_host_min_free_mb": 10**9},
            ["docker_host_min_free_mb", "MiB free", "--tags prune"],
            id="disk full",
        ),
    ],
)
def test_one_sentence_and_nothing_changed(
    site: Site, running: dict[str, str], variables: dict[str, object], sentence: list[str]
) -> None:
    site.set(**variables)

    run = site.run()

    assert run.status != 0
    assert run.changed == []
    assert site.state() == running
    for word in sentence:
        assert word in run.failure
    assert len(run.failure) < 600, run.failure


def test_port_taken_by_another_program_says_by_what(site: Site, running: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        site.set(hello_app_port=other.getsockname()[1])

        run = site.run()

    assert run.status != 0
    assert run.changed == []
    assert site.state() == running
    assert Path("/proc/self/comm").read_text().strip() in run.failure
    assert str(os.getpid()) in run.failure
    assert "hello_app_port" in run.failure


def test_broken_dockerfile_shows_the_builds_own_words(site: Site, running: dict[str, str]) -> None:
    site.set()
    dockerfile = site.folder / "hello-world" / "Dockerfile"
    whole = dockerfile.read_text()
    dockerfile.write_text(whole + "RUN echo it is broken here >&2; exit 3\n")
    try:
        run = site.run()
    finally:
        dockerfile.write_text(whole)

    assert run.status != 0
    assert "it is broken here" in run.failure
    assert site.state() == running
