"""Modules that run in the process of their task return the same as those that are sent."""

import json
import os
import sys
import types
from pathlib import Path

import pytest
import requests

from action_plugins import in_process
from support import ROOT
from support.ansible_run import PLAIN, run_playbook

FOLDER = ROOT / "action_plugins"
LINKS = sorted(path for path in FOLDER.iterdir() if path.is_symlink())
SENT = "Using module file"


@pytest.mark.parametrize("link", LINKS, ids=[link.stem for link in LINKS])
def test_links(link):
    assert link.readlink() == Path("in_process.py")
    assert (ROOT / "library" / link.name).is_file() != (link.name == "normal.py")


@pytest.fixture(scope="module")
def other_python(tmp_path_factory):
    """Return the same Python under another path."""
    path = tmp_path_factory.mktemp("python") / "python"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    path.chmod(0o700)
    return str(path)


def play(folder, python, *tasks, environment=None, **variables):
    book = folder / "play.yml"
    given = {"ansible_connection": "local", "ansible_python_interpreter": python, **variables}
    book.write_text(json.dumps([{"hosts": "localhost", "vars": given, "tasks": [*tasks]}]))
    return run_playbook("--inventory=localhost,", "-vvv", "--diff", book, **environment or {})


def delegating_play(folder, here, there, task):
    """Run a task of a host with the Python `there`, delegated to localhost with `here`."""
    hosts = {
        "localhost": {"ansible_connection": "local", "ansible_python_interpreter": here},
        "elsewhere": {"ansible_connection": "ssh", "ansible_python_interpreter": there},
    }
    (folder / "inventory.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    task = {**task, "delegate_to": "localhost"}
    book = folder / "play.yml"
    book.write_text(json.dumps([{"hosts": "elsewhere", "tasks": [task]}]))
    return run_playbook(f"--inventory={folder}/inventory.json", "-vvv", book)


def both(folder, other_python, *tasks):
    """Return the results of tasks run in the process, and sent to the other Python."""
    found = []
    for python in (sys.executable, other_python):
        run = play(folder, python, *tasks)
        assert (SENT in run.text) == (python == other_python)
        found.append([result for _, result in run.tasks])
    return found


def without_exceptions(results):
    """Return the results as JSON, without the tracebacks of failures."""
    for result in results:
        for item in [result, *result.get("results", [])]:
            item.pop("exception", None)
    return json.dumps(results, sort_keys=True)


ASSERTION = {"name": "one", "namespace": "n", "app": "app", "service_port": 80, "replicas": 1}
RENDERING = {
    "workload_manifests": {
        "workloads": [ASSERTION],
        "apps": [
            {
                "name": "app",
                "image": "app:v1",
                "port": 8080,
                "resources": {"limits": {"memory": "32Mi"}},
                "checks": [{"path": "/"}],
            }
        ],
        "registry": "registry.example.com/team",
        "labels": {"app.kubernetes.io/managed-by": "docker-ml-api"},
    },
}


def test_what_a_module_returns(tmp_path, other_python):
    here, sent = both(tmp_path, other_python, RENDERING)
    [result] = here
    assert result["workloads"][0]["image"] == "registry.example.com/team/app:v1"
    assert without_exceptions(here) == without_exceptions(sent)


@pytest.mark.parametrize("of_localhost", [True, False])
def test_what_is_delegated_goes_by_the_other_hosts_python(tmp_path, other_python, of_localhost):
    pythons = (sys.executable, other_python) if of_localhost else (other_python, sys.executable)
    run = delegating_play(tmp_path, *pythons, RENDERING)
    assert (SENT in run.text) != of_localhost
    [(_, result)] = run.tasks
    assert result["workloads"][0]["image"] == "registry.example.com/team/app:v1"


def test_failures_and_the_tasks_environment(tmp_path, other_python):
    task = {
        "kubernetes_access": {},
        "environment": {"KUBECONFIG": "/nonexistent/{{ item }}"},
        "loop": ["one", "two"],
        "ignore_errors": True,
    }
    after = {"kubernetes_access": {}, "ignore_errors": True}
    here, sent = both(tmp_path, other_python, task, after)
    [looped, alone] = here
    assert [f"/nonexistent/{name}" in item["msg"] for name, item in zip(
        ("one", "two"), looped["results"], strict=True)] == [True, True]  # fmt: skip
    assert alone["failed"]
    assert "/nonexistent" not in alone["msg"]
    assert without_exceptions(here) == without_exceptions(sent)


def test_paths_are_relative_to_the_playbook(tmp_path, other_python):
    (tmp_path / "config").write_text("[no, kubeconfig]")
    task = {"kubernetes_access": {"kubeconfig": "config"}, "ignore_errors": True}
    here, sent = both(tmp_path, other_python, task, {**task, "environment": {"HOME": "/"}})
    assert [result["failed"] for result in here] == [True, True]
    assert [result["msg"] for result in here if "no file" in result["msg"]] == []
    assert without_exceptions(here) == without_exceptions(sent)


def test_secrets_do_not_show(tmp_path, other_python):
    options = {
        "images": [{"name": "app", "reference": "127.0.0.1:1/app:v1"}],
        "username": "somebody",
        "password": "the-very-secret",
    }
    here, sent = both(tmp_path, other_python, {"registry_manifest": options})
    assert here[0]["failed"]
    assert "127.0.0.1:1" in here[0]["msg"]
    assert "the-very-secret" not in json.dumps(here)
    assert without_exceptions(here) == without_exceptions(sent)


def test_an_option_that_there_is_not(tmp_path, other_python):
    here, sent = both(tmp_path, other_python, {"kubernetes_access": {"nothing": 1}})
    assert "Unsupported parameters for (kubernetes_access) module: nothing" in here[0]["msg"]
    assert without_exceptions(here) == without_exceptions(sent)


def test_a_module_that_breaks(tmp_path, other_python):
    """An unexpected error in a module ends its task, not the process of the run."""
    broken = {"kubernetes_access": {}, "environment": {"KUBECONFIG": str(tmp_path)}}
    here, _ = both(tmp_path, other_python, {**broken, "ignore_errors": True}, RENDERING)
    assert here[0]["failed"]
    assert here[1]["workloads"]


# Run by the program that users call, as the tests' server runs these in the process anyway.
OF_COLLECTIONS = {
    "no engine": {
        "community.docker.docker_host_info": {"images": True},
        "environment": {"DOCKER_HOST": "unix:///nonexistent.sock"},
        "ignore_errors": True,
    },
    "a wrong option": {"community.docker.docker_host_info": {"nothing": 1}, "ignore_errors": True},
    "a secret": {
        "community.docker.docker_container": {
            "name": "the-very-secret",
            "client_key": "/nonexistent/the-very-secret",
            "docker_host": "tcp://127.0.0.1:1",
            "tls": True,
        },
        "no_log": True,
        "ignore_errors": True,
    },
}


def test_modules_of_community_docker(tmp_path, other_python):
    found = []
    for python in (sys.executable, other_python):
        run = play(tmp_path, python, *OF_COLLECTIONS.values(), environment=PLAIN)
        assert (SENT in run.text) == (python == other_python)
        assert "the-very-secret" not in run.text.replace(str(OF_COLLECTIONS["a secret"]), "")
        found.append([result for _, result in run.tasks])
    here, sent = found
    assert "Error connecting" in here[0]["msg"]
    assert "Unsupported parameters" in here[1]["msg"]
    assert without_exceptions(here) == without_exceptions(sent)


class Session(requests.Session):
    """A session that counts how often one was closed."""

    closed = 0

    def close(self):
        super().close()
        Session.closed += 1


def test_connections_that_a_module_leaves_open_are_closed():
    """All items of a loop run in one process."""
    left = []

    def main():
        left.append(Session())
        sys.exit(0)

    begin = requests.Session.__init__
    for done in (1, 2):
        assert in_process.run(types.SimpleNamespace(main=main), {}, {}) == ""
        assert (Session.closed, len(left)) == (done, done)
    assert requests.Session.__init__ is begin


def test_other_modules_are_sent(tmp_path):
    run = play(tmp_path, sys.executable, {"ansible.builtin.ping": {}}, environment=PLAIN)
    assert SENT in run.text


@pytest.mark.skipif(os.geteuid() != 0, reason="become without a password needs root")
def test_as_another_user(tmp_path):
    task = {**RENDERING, "become": True, "become_method": "ansible.builtin.su"}
    run = play(tmp_path, sys.executable, task)
    assert SENT in run.text
