"""The module against the real engine, and without an engine."""

import os
import runpy

import docker_engine_info
import pytest
from ansible.module_utils.docker_ml_api.docker import engine as docker_engine
from ansible.module_utils.testing import patch_module_args

from support.run_module import run_module


def test_the_real_engine(engine, capsys):
    answer = run_module(docker_engine_info, capsys)
    found = answer["engine"]
    assert not answer["changed"]
    assert found["answers"]
    assert found["error"] == ""
    assert found["server_version"] == engine.client.version()["Version"]
    assert found["data_root"] == engine.client.info()["DockerRootDir"]
    assert found["cli"] in docker_engine.find_clients(os.environ["PATH"])
    assert found["data_root_free_mb"] > 0
    assert found["requests"]


def test_an_engine_that_is_not_there(no_engine, tmp_path, capsys):  # noqa: ARG001
    found = run_module(docker_engine_info, capsys, data_root=str(tmp_path / "data"))["engine"]
    assert not found["answers"]
    assert found["error"]
    assert not found["permission_denied"]
    assert found["data_root"] == str(tmp_path / "data")


def test_no_client_is_as_good_as_none_given(no_engine, capsys):  # noqa: ARG001
    found = run_module(docker_engine_info, capsys, executables=["/nonexistent/docker"])["engine"]
    assert found["cli"] == ""
    assert "There is no docker command on this host" in found["error"]


@pytest.mark.parametrize("options", [{"timeout": "soon"}, {"surprise": 1}])
def test_wrong_options(capsys, options):
    assert run_module(docker_engine_info, capsys, **options)["failed"]


def test_as_a_program(capsys):
    options = {"executables": ["/nonexistent/docker"]}
    with patch_module_args(options), pytest.raises(SystemExit, match="0"):
        runpy.run_path(docker_engine_info.__file__, run_name="__main__")
    assert "engine" in capsys.readouterr().out
