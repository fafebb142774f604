"""Make the project's modules importable as in Ansible, and provide the shared cluster."""

import gc
import shutil
import sys
import tempfile
from pathlib import Path

import ansible.module_utils
import pytest
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

ROOT = Path(__file__).resolve().parent.parent

# Modules import `ansible.module_utils.docker_ml_api`, as on a managed host.
ansible.module_utils.__path__.insert(0, str(ROOT / "module_utils"))
sys.path[:0] = [str(ROOT / "library"), str(ROOT), str(ROOT / "tests")]

# Collections are found as in a run of Ansible. The finder is installed for all tests of a process,
# as it rejects collections that were imported before.
_AnsibleCollectionFinder()._install()

from support import real_cluster, schedule  # noqa: E402 - needs the path
from support.passing import pytest_fixture_setup  # noqa: E402, F401 - a hook

TURNS = pytest.StashKey[schedule.Turns]()


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # a worker is part of its controller's session
        folder = Path(tempfile.mkdtemp(prefix="docker-ml-api-tests-"))
        config.add_cleanup(lambda: shutil.rmtree(folder))
        real_cluster.begin_session(folder)
    config.stash[TURNS] = schedule.Turns(real_cluster.session_folder() / "turns")
    config.add_cleanup(config.stash[TURNS].close)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    turns = item.config.stash[TURNS]
    turns.begin(item.nodeid, item.fixturenames)
    try:
        return (yield)
    finally:
        turns.end(item.nodeid, nextitem.nodeid if nextitem else "")


def pytest_collection_modifyitems(items):
    for item in items:
        for name in schedule.needs(item.path, item.fixturenames):
            item.add_marker(name)
    items.sort(key=lambda item: schedule.rank(item.nodeid))


def pytest_collection_finish():
    # These objects live until the end of the session: exclude them from garbage collection.
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)  # of xdist
def pytest_xdist_make_scheduler(config, log):
    config.option.loadscopereorder = False  # keep the order of the items
    return schedule.Scheduling(config, log)


def pytest_sessionfinish(session):
    real_cluster.close_clients()
    if not hasattr(session.config, "workerinput"):
        real_cluster.end_session()


@pytest.fixture(scope="session")
def cluster():
    return real_cluster.connect()
