"""The files that the hash covers, compared with those that the real builder sends."""

import io
import os
import subprocess
import tarfile

import pytest
from ansible.module_utils.docker_ml_api.docker import context_hash
from ansible.module_utils.docker_ml_api.docker import engine as docker_engine

from support.real_engine import Engine

FILES = ["README.md", "a.pyc", "app/main.py", "app/data/set.csv", "app/data/notes.txt", "app/x.pyc"]
RULES = [
    "",
    "# README.md\n\n",
    "README.md",
    "/app/",
    "*.pyc",
    "**/*.pyc",
    "app/*/set.csv",
    "*.md\n!README.md",
    "!README.md\n*.md",
    "*\n!app/main.py",
    "app/data\n!app/data/set.csv",
    "Dockerfile\n.dockerignore",
    "a.py?\n[R]EADME.md",
    "./app/../README.md",
]
# Older and newer builders differ in these; neither may send a file that the hash omits.
RULES_OF_NEWER_BUILDERS = ["*\n!**/*.csv", "**\n!app/**/*.txt"]


@pytest.fixture
def engine():
    made = Engine()
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture
def sent(engine, tmp_path):
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "Dockerfile").write_text(
        f'FROM scratch\nLABEL docker-ml-api.test="{engine.prefix}"\nCOPY . /context/\nCMD ["x"]\n'
    )

    def sent(rules):
        (tmp_path / ".dockerignore").write_text(rules)
        image = engine.name("context:1")
        subprocess.run(
            [builder(), "build", "--quiet", "--tag", image, str(tmp_path)],
            env=os.environ | {"DOCKER_BUILDKIT": "1"},
            check=True,
            capture_output=True,
        )
        container = engine.client.containers.create(image, name=engine.name("c"))
        try:
            archive = io.BytesIO(b"".join(container.export()))
        finally:
            container.remove()
        with tarfile.open(fileobj=archive) as tar:
            names = {member.name for member in tar.getmembers() if member.isfile()}
        prefix = "context/"
        return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}

    return sent


def builder():
    """Return a client that builds with BuildKit, as the role finds it."""
    return docker_engine.inspect(None, 20, docker_engine.DEFAULT_DATA_ROOT, dict(os.environ))["cli"]


def hashed(folder):
    paths = context_hash.context_paths(folder)
    return {path for path in paths if (folder / path).is_file()}


@pytest.mark.parametrize("rules", RULES)
def test_the_same_files(sent, tmp_path, rules):
    assert sent(rules) == hashed(tmp_path)


@pytest.mark.parametrize("rules", RULES_OF_NEWER_BUILDERS)
def test_no_file_is_forgotten(sent, tmp_path, rules):
    assert sent(rules) <= hashed(tmp_path)
