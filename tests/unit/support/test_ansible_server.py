"""Runs that are forked from a server are what `ansible-playbook` gives."""

import json
import os
import subprocess
import sys
import tempfile

import pytest
from ansible_run import PLAYBOOK, ROOT, run_playbook
from ansible_server import Server

REPORTING = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_NOCOLOR": "1"}
TASKS = [
    {"ansible.builtin.command": {"argv": ["sh", "-c", "echo $GREETING; pwd; exit 3"]}},
    {"ansible.builtin.command": {"argv": ["/nonexistent/program"]}},
    {"ansible.builtin.command": {"no_such_option": 1}},
    {"ansible.builtin.stat": {"path": "/nonexistent"}},
    {"ansible.builtin.copy": {"content": "one\n", "dest": "{{ folder }}/file", "mode": "0640"}},
    {"ansible.builtin.copy": {"content": "one\n", "dest": "{{ folder }}/file", "mode": "0640"}},
    {"ansible.builtin.file": {"path": "{{ folder }}/file", "state": "absent"}, "check_mode": True},
    {"ansible.builtin.uri": {"url": "http://127.0.0.1:1/", "timeout": 1}},
    {"community.docker.docker_host_info": {"docker_host": "unix:///nonexistent.sock"}},
]
# Of when and where, not of what.
VARYING = {"start", "end", "delta", "exception", "src", "_original_basename"}


def without_varying(value, folder):
    if isinstance(value, dict):
        return {k: without_varying(v, folder) for k, v in value.items() if k not in VARYING}
    if isinstance(value, list):
        return [without_varying(one, folder) for one in value]
    return value.replace(str(folder), "FOLDER") if isinstance(value, str) else value


@pytest.fixture
def book(tmp_path):
    """A playbook of tasks that say what modules give, failures among them."""
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "folder": str(tmp_path),
    }
    environment = {"GREETING": "hello"}
    tasks = [{**task, "ignore_errors": True, "environment": environment} for task in TASKS]
    path = tmp_path / "play.yml"
    play = {"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": tasks}
    path.write_text(json.dumps([play]))
    return path


def test_modules_give_what_they_give_when_they_are_sent(book, tmp_path):
    forked = run_playbook("--inventory=localhost,", book, "--diff")
    (tmp_path / "file").unlink()
    sent = subprocess.run(
        [PLAYBOOK, "--inventory=localhost,", book, "--diff"],
        cwd=ROOT,
        env=os.environ | REPORTING,
        capture_output=True,
        text=True,
        check=False,
    )
    assert forked.status == sent.returncode == 0
    reports = (forked.report, json.loads(sent.stdout[sent.stdout.index("{\n") :]))
    found = [
        [task["hosts"]["localhost"] for play in report["plays"] for task in play["tasks"]]
        for report in reports
    ]
    assert len(found[0]) == len(TASKS)
    here, there = ([without_varying(one, tmp_path) for one in results] for results in found)
    assert here[0]["stdout_lines"] == ["hello", "FOLDER"]
    assert [one["changed"] for one in here[4:6]] == [True, False]
    assert here == there


@pytest.fixture
def server():
    made = Server(os.environ | REPORTING, ROOT)
    try:
        yield made
    finally:
        made.close()


def test_status_and_output(server):
    for arguments, status in ((["--version"], 0), (["nonexistent.yml"], 1), (["--nonsense"], 2)):
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            command = ["ansible-playbook", *arguments]
            assert server.run(command, os.environ, stdout, stderr) == status
            sizes = [file.seek(0, os.SEEK_END) for file in (stdout, stderr)]
        assert [bool(size) for size in sizes] == [status == 0, status != 0]


def test_a_run_has_its_own_environment_and_leaves_no_files(tmp_path):
    book = tmp_path / "play.yml"
    say = {"ansible.builtin.debug": {"msg": "{{ lookup('env', 'OF_THIS_RUN') }}"}}
    book.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [say]}]))
    environment = {**os.environ, **REPORTING, "HOME": str(tmp_path)}
    made = Server(environment, ROOT)
    folder = tmp_path / ".ansible" / "tmp"
    try:
        for value in ("one", "two"):
            with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
                command = ["ansible-playbook", "--inventory=localhost,", str(book)]
                made.run(command, environment | {"OF_THIS_RUN": value}, stdout, stderr)
                stdout.seek(0)
                assert f'"msg": "{value}"' in stdout.read().decode()
        # The server's own folder stays as long as it does.
        assert len([*folder.iterdir()]) == 1
    finally:
        made.close()
    assert [*folder.iterdir()] == []
