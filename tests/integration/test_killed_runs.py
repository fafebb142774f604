"""A run that is killed at any point is completed by the next run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.ansible_run import PLAYBOOK
from support.killed_run import kill_at
from support.site_yml import Site, docker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


DOCKERFILE = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY index.html /srv/
RUN ["busybox", "sh", "-c", "busybox sleep 1"]
USER 65532:65532
HEALTHCHECK --interval=1s --timeout=5s --retries=3 \\
    CMD ["busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/"]
CMD ["busybox", "httpd", "-f", "-p", "8080", "-h", "/srv"]
"""


def small_app(site: Site) -> dict[str, object]:
    """Return an app with the usual stages, but short ones: the test is about the run."""
    folder = site.folder / "small"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
    (folder / "index.html").write_text("small", encoding="utf-8")
    return {
        "name": "small",
        "folder": str(folder),
        "image": f"{site.prefix}small:v1",
        "build_args": {"BASE_IMAGE": f"{site.prefix}base/runtime:base"},
        "port": 8080,
        "container_name": f"{site.prefix}small",
        "published_port": site.ports[0],
        "published_port_variable": "small_port",
        "memory": "64m",
        "checks": [{"path": "/", "expected_text": "small"}],
    }


@pytest.fixture
def fresh(site: Site, tmp_path: Path) -> Iterator[dict[str, object]]:
    """Base images that only this test uses, to be bootstrapped, and an app based on one."""
    variables: dict[str, object] = {
        "apps": [small_app(site)],
        # The import of the second one takes long enough to be detected.
        "base_images_names": ["runtime", "python"],
        "base_images_source": "bootstrap",
        "base_images_repository": f"{site.prefix}base",
        "base_images_cache": str(tmp_path / "cache"),
        # Makes the recipes unique, and therefore the images that are built on them.
        "base_images_generation": site.prefix,
    }
    site.set(**variables)
    try:
        yield variables
    finally:
        site.remove()
        for reference in docker(
            "images", f"--filter=reference={site.prefix}base/*", "--format={{.Repository}}:{{.Tag}}"
        ).split():
            docker("rmi", "--force", reference)


@pytest.mark.usefixtures("fresh")
def test_killed_at_five_points_the_next_run_brings_the_same_state(
    site: Site, tmp_path: Path
) -> None:
    for task, program in [
        ("[base_images : Make the root file systems", "mmdebstrap"),
        ("[base_images : Import the images]", "docker import"),
        ("[image : Build it", "build --"),
        ("[container : Run the containers]", ""),
        ("[container : Wait until they are healthy]", ""),
    ]:
        kill_at([PLAYBOOK, *site.arguments()], task, program)

    run = site.run()
    assert run.status == 0, run.failure

    assert set(site.state()) == {
        f"{site.prefix}small",
        f"{site.prefix}small:v1",
    }
    again = site.run()
    assert again.status == 0, again.failure
    assert again.changed == []
    # No incomplete files are left behind.
    left = {path.name for path in (tmp_path / "cache").iterdir() if path.suffix != ".tar"}
    assert left == {".lock"}
