"""Makes the project's modules importable as Ansible does; the cluster that tests share."""

import shutil
import sys
import tempfile
from pathlib import Path

import ansible.module_utils
import pytest

ROOT = Path(__file__).resolve().parent.parent

# Modules import `ansible.module_utils.docker_ml_api`, as on a target.
ansible.module_utils.__path__.insert(0, str(ROOT / "module_utils"))
sys.path[:0] = [str(ROOT / "library"), str(ROOT)]

import real_cluster  # noqa: E402 - needs the path


def pytest_configure(config):
    if hasattr(config, "workerinput"):  # a worker is part of its controller's session
        return
    folder = Path(tempfile.mkdtemp(prefix="docker-ml-api-tests-"))
    config.add_cleanup(lambda: shutil.rmtree(folder))
    real_cluster.begin_session(folder)


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        real_cluster.end_session()


@pytest.fixture(scope="session")
def cluster():
    return real_cluster.connect()
