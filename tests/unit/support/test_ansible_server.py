"""Runs forked from a server give the same results as `ansible-playbook`."""

import base64
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader

from support import ROOT, ansible_server, api_server
from support.ansible_run import PLAIN, REPORTING, run_playbook
from support.ansible_server import KNOWN, Server

if KNOWN:
    from support import ansible_warm

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
    # Its client writes the keys of a kubeconfig to files.
    {"kubernetes.core.k8s_info": {"kind": "Pod", "kubeconfig": "{{ folder }}/kubeconfig"}},
]
# They depend on when and where a task ran, not on what it did.
VARYING = {"start", "end", "delta", "exception", "src", "_original_basename"}

# Tasks that need no separate process, on two hosts with different variables.
DECIDING = [
    {"ansible.builtin.set_fact": {"own": "{{ inventory_hostname }}"}},
    {"ansible.builtin.set_fact": {"list": "{{ (list | default([])) + [item] }}"}, "loop": [1, 2]},
    {"ansible.builtin.debug": {"msg": "{{ own }} {{ list }} {{ item }}"}, "loop": "{{ list }}"},
    {"ansible.builtin.debug": {"var": "hostvars.other.own"}, "run_once": True},
    {"ansible.builtin.debug": {"msg": "{{ missing }}"}, "ignore_errors": True},
    {
        "ansible.builtin.assert": {"that": "own == 'other'", "fail_msg": "{{ own }}!"},
        "ignore_errors": True,
    },
    {"ansible.builtin.command": "nonexistent", "when": "own == 'nobody'"},
    {"ansible.builtin.command": "nonexistent", "when": "missing.key", "ignore_errors": True},
    {"ansible.builtin.command": {"argv": ["echo", "{{ item }}"]}, "loop": [], "when": "item == 1"},
    {"ansible.builtin.include_tasks": "{{ own }}.yml", "vars": {"given": "{{ own | upper }}"}},
    {"ansible.builtin.include_tasks": "{{ own }}.yml", "loop": "{{ list }}"},
    {"ansible.builtin.debug": {"msg": "{{ late }}"}, "no_log": True, "changed_when": "late == 2"},
    {
        "block": [{"ansible.builtin.fail": {"msg": "{{ own }}"}, "when": "own == 'other'"}],
        "rescue": [{"ansible.builtin.debug": {"msg": "{{ ansible_failed_result.msg }}"}}],
        "always": [{"ansible.builtin.debug": {"var": "ansible_failed_task.name"}}],
    },
    {"ansible.builtin.debug": {"msg": "{{ own }}"}, "delegate_to": "other"},
    {"ansible.builtin.set_fact": {"tries": "{{ own }}"}, "until": "own is defined", "retries": 1},
    {
        "ansible.builtin.debug": {"msg": "{{ given | default('-') }}"},
        "changed_when": True,
        "notify": "told",
    },
    {"ansible.builtin.meta": "flush_handlers"},
    {"ansible.builtin.fail": {"msg": "{{ own }}: {{ list }}"}},
    {"ansible.builtin.debug": {"msg": "never"}},
]


def plain(*arguments):
    """Run the real program: with another setting of Ansible, a run is not forked."""
    return run_playbook(*arguments, **PLAIN)


def without_varying(value, folder):
    if isinstance(value, dict):
        return {k: without_varying(v, folder) for k, v in value.items() if k not in VARYING}
    if isinstance(value, list):
        return [without_varying(one, folder) for one in value]
    return value.replace(str(folder), "FOLDER") if isinstance(value, str) else value


@pytest.fixture
def book(tmp_path):
    """Return a playbook of tasks that report what modules return, including failures."""
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "folder": str(tmp_path),
    }
    key = base64.b64encode(str(tmp_path).encode()).decode()
    kubeconfig = api_server.kubeconfig("https://127.0.0.1:1", {"client-key-data": key})
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    environment = {"GREETING": "hello"}
    tasks = [{**task, "ignore_errors": True, "environment": environment} for task in TASKS]
    path = tmp_path / "play.yml"
    play = {"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": tasks}
    path.write_text(json.dumps([play]))
    return path


def temporary_files_with(text):
    for path in Path(tempfile.gettempdir()).glob("tmp*"):
        # Other processes create and remove such files, too.
        with contextlib.suppress(OSError):
            if text in path.read_bytes():
                yield path


def test_modules_give_what_they_give_when_they_are_sent(book, tmp_path):
    forked = run_playbook("--inventory=localhost,", book, "--diff")
    (tmp_path / "file").unlink()
    sent = plain("--inventory=localhost,", book, "--diff")
    assert forked.status == sent.status == 0
    reports = (forked.report, sent.report)
    found = [
        [task["hosts"]["localhost"] for play in report["plays"] for task in play["tasks"]]
        for report in reports
    ]
    assert len(found[0]) == len(TASKS)
    here, there = ([without_varying(one, tmp_path) for one in results] for results in found)
    assert here[0]["stdout_lines"] == ["hello", "FOLDER"]
    assert [one["changed"] for one in here[4:6]] == [True, False]
    # The last message includes where the exception was raised, which differs.
    assert ["Connection refused" in one.pop()["msg"] for one in (here, there)] == [True, True]
    assert here == there
    assert [*temporary_files_with(str(tmp_path).encode())] == []


@pytest.fixture
def deciding(tmp_path):
    """Return a playbook of tasks that need no separate process."""
    late = {
        "name": "Of {{ own }}",
        "ansible.builtin.set_fact": {"late": "{{ given | default(item) }}"},
    }
    for host in ("localhost", "other"):
        (tmp_path / f"{host}.yml").write_text(json.dumps([late]))
    play = {
        "hosts": "all",
        "gather_facts": False,
        "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
        "tasks": DECIDING,
        "handlers": [{"name": "told", "ansible.builtin.debug": {"msg": "{{ own }} was told"}}],
    }
    path = tmp_path / "play.yml"
    path.write_text(json.dumps([play]))
    return path


def decided(report, folder):
    """Return the result of each task by host; the order in which hosts finish varies."""
    found = [
        (task["task"]["name"], host, without_varying(result, folder))
        for play in report["plays"]
        for task in play["tasks"]
        for host, result in task["hosts"].items()
    ]
    return sorted(found, key=lambda one: one[1])


def test_tasks_decide_what_they_decide_in_processes_of_their_own(deciding, tmp_path):
    # The second run uses what the first one compiled.
    first, forked = (run_playbook("--inventory=localhost,other", deciding) for _ in range(2))
    assert decided(first.report, tmp_path) == decided(forked.report, tmp_path)
    sent = plain("--inventory=localhost,other", deciding)
    assert forked.status == sent.status == 2
    here = decided(forked.report, tmp_path)
    assert here == decided(sent.report, tmp_path)
    assert forked.report["stats"] == sent.report["stats"]
    assert {"localhost: [1, 2]", "other: [1, 2]"} <= {one[2].get("msg") for one in here}


@pytest.mark.skipif(not KNOWN, reason="runs of this version of Ansible parse all themselves")
def test_a_file_that_was_parsed_before_is_read_again_when_it_changed(tmp_path, monkeypatch):
    path = tmp_path / "vars.yml"
    path.write_text("a: {b: [1]}\n")
    monkeypatch.setattr(ansible_warm, "_parsed", {})
    ansible_warm.prepare([path, tmp_path / "missing.yml"])
    assert [*ansible_warm._parsed] == [str(path)]

    def load():
        return ansible_warm._load(DataLoader(), str(path), trusted_as_template=True)

    first = load()
    first["a"]["b"].append(2)
    assert load() == {"a": {"b": [1]}}
    path.write_text("a: changed\n")
    assert load() == {"a": "changed"}


@pytest.fixture
def server(request):
    made = Server(os.environ | getattr(request, "param", REPORTING), ROOT)
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


@pytest.mark.parametrize("server", [{"ANSIBLE_NOCOLOR": "1"}], indirect=True)
def test_what_is_said_of_an_item_while_the_next_one_is_done_stays_output(server, tmp_path):
    items = [str(number) for number in range(10)]
    # A module in the process of its task redirects standard output; its result takes a while
    # to write.
    task = {"ansible.builtin.command": {"argv": ["seq", "2000"]}, "loop": items}
    there = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    play = {"hosts": "localhost", "gather_facts": False, "vars": there, "tasks": [task]}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        command = ["ansible-playbook", "--inventory=localhost,", str(tmp_path / "play.yml"), "-v"]
        assert server.run(command, os.environ, stdout, stderr) == 0
        stdout.seek(0)
        said = stdout.read().decode()
    assert re.findall(r"^changed: .*\(item=(\d+)\)", said, re.MULTILINE) == items


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
        # The server's own folder stays until the server ends.
        assert len([*folder.iterdir()]) == 1
    finally:
        made.close()
    assert [*folder.iterdir()] == []


def test_a_program_of_forked_runs(tmp_path):
    book = tmp_path / "play.yml"
    say = {
        "ansible.builtin.debug": {"msg": "{{ playbook_dir }} {{ lookup('env', 'OF_THIS_RUN') }}"}
    }
    book.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [say]}]))
    with ansible_server.program(tmp_path) as folder:
        for arguments, status in ((["play.yml"], 0), (["nonexistent.yml"], 1)):
            done = subprocess.run(
                [folder / "ansible-playbook", "--inventory=localhost,", *arguments],
                cwd=tmp_path,
                env=os.environ | {"OF_THIS_RUN": "one"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == status, done.stderr
            assert (f"{tmp_path} one" in done.stdout) == (status == 0)
            assert ("nonexistent.yml could not be found" in done.stderr) == (status == 1)
        version = subprocess.check_output([folder / "ansible-playbook", "--version"], text=True)
        assert version.startswith("ansible-playbook [core ")
