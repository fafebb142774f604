import atexit
import importlib.util
import os
from pathlib import Path

import pytest
from ansible.module_utils.docker_ml_api import private_files

PLUGIN = Path(__file__).resolve().parents[3] / "callback_plugins/forget_run.py"


@pytest.fixture
def begin(monkeypatch, tmp_path):
    """Begin a run; return the function that Ansible's process calls at its exit."""
    specification = importlib.util.spec_from_file_location("forget_run", PLUGIN)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv(private_files.RUN, "of a run above")
    at_the_end = []
    monkeypatch.setattr(atexit, "register", at_the_end.append)
    module.CallbackModule()
    [end] = at_the_end
    return end


def test_what_is_kept_goes_with_the_run(begin, tmp_path):
    assert os.environ[private_files.RUN] == str(os.getpid())
    path = private_files.keep("a-token", os.environ)
    assert path.read_text() == "a-token"
    begin()
    assert list(tmp_path.iterdir()) == []
    begin()


def test_another_process_leaves_it(begin, monkeypatch):
    path = private_files.keep("a-token", os.environ)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    begin()
    assert path.exists()


def test_no_folder_for_secrets(begin, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    begin()
