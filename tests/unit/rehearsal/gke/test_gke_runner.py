"""The commands, each with its own folder and ports."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rehearsal.gke import __main__, runner
from rehearsal.gke.double import write_private
from rehearsal.gke.layout import Layout
from rehearsal.kubernetes.errors import RehearsalError
from support import ROOT
from support.ports import free

ADDRESS = "127.0.0.1"
FAST = ("--set", "create_cluster_seconds=0.1")


@pytest.fixture
def ports():
    proxy, plain = free(), free()
    return ["--address", ADDRESS, "--proxy-port", str(proxy), "--plain-port", str(plain)]


@pytest.fixture
def folder(tmp_path):
    """Yield the folder of a double, which is stopped after the test."""
    path = tmp_path / "double"
    yield path
    __main__.main(["down", "--folder", str(path)])


def run(capsys, command, folder, *more):
    """Return exit code, output and progress."""
    code = __main__.main([command, "--folder", str(folder), *more])
    said = capsys.readouterr()
    return code, said.out, said.err


def pid_of(folder):
    return int(Layout(folder).record.read_text())


def exports(text):
    lines = [shlex.split(line) for line in text.splitlines() if line.startswith("export ")]
    return dict(words[1].split("=", 1) for words in lines)


def test_whole_life(capsys, folder, ports):
    assert run(capsys, "status", folder)[:2] == (3, "The double is not up.\n")
    assert run(capsys, "env", folder)[0] == 1
    code, out, err = run(capsys, "up", folder, *ports, *FAST)
    assert (code, err) == (0, "The double is up.\n")
    assert exports(out)["CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"] == str(
        folder / "service-account.json"
    )
    first = pid_of(folder)

    code, out, err = run(capsys, "up", folder)
    assert (code, err, pid_of(folder)) == (0, "The double is up already.\n", first)
    code, out, _ = run(capsys, "status", folder)
    assert code == 0
    assert f"http://{ADDRESS}:{ports[3]}" in out
    assert f"http://{ADDRESS}:{ports[5]}" in out
    code, out, _ = run(capsys, "env", folder, "--for", "ansible")
    assert exports(out)["HTTPS_PROXY"] == f"http://{ADDRESS}:{ports[3]}"
    assert exports(out)["NO_PROXY"] == ""
    assert Path(exports(out)["REQUESTS_CA_BUNDLE"]).exists()

    # After a kill, `status` reports it, and `up` continues with the saved state and ports.
    plain = f"http://{ADDRESS}:{ports[5]}"
    now = runner.ask(plain, "POST", "clock", {"advance": 1000})["now"]
    os.kill(first, signal.SIGKILL)
    until(lambda: not runner._running(Layout(folder)))
    code, out, _ = run(capsys, "status", folder)
    assert code == 1
    assert "is not running: `up` starts it" in out
    assert run(capsys, "env", folder)[0] == 1
    assert run(capsys, "up", folder)[0] == 0
    assert pid_of(folder) != first
    assert runner.ask(plain, "GET", "clock")["now"] >= now

    # Other settings cause a restart.
    second = pid_of(folder)
    code, _, err = run(capsys, "up", folder, "--token-seconds", "60")
    assert code == 0
    assert "started again, with other settings" in err
    assert pid_of(folder) != second
    third = pid_of(folder)

    assert run(capsys, "down", folder) == (0, "", "The double is down.\n")
    assert not folder.exists()
    assert not Path(f"/proc/{third}").exists() or is_zombie(third)
    assert run(capsys, "down", folder) == (0, "", "The double is not up.\n")


def is_zombie(pid):
    return ") Z " in Path(f"/proc/{pid}/stat").read_text()


def until(true):
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_files_are_their_owners_alone(capsys, folder, ports):
    assert run(capsys, "up", folder, *ports)[0] == 0
    secret = ("service-account.json", "settings.json", "process", "log/requests.jsonl")
    for name in secret:
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600, name
    key = json.loads((folder / "service-account.json").read_text())
    command = Path(f"/proc/{pid_of(folder)}/cmdline").read_bytes().decode()
    assert key["private_key"] not in command


def test_killed_up_can_be_taken_up_or_down(capsys, folder, ports):
    """`up` and `down` work after an `up` that was killed before it started the server."""
    paths = Layout(folder)
    folder.mkdir()
    paths.record.touch(mode=0o600)
    assert run(capsys, "status", folder)[0] == 3
    assert run(capsys, "up", folder, *ports)[0] == 0
    assert run(capsys, "down", folder)[0] == 0
    folder.mkdir()
    paths.record.touch(mode=0o600)
    paths.settings.write_text("{}")
    assert run(capsys, "down", folder) == (0, "", "The double is down.\n")
    assert not folder.exists()


def test_folder_of_something_else(capsys, folder):
    folder.mkdir()
    (folder / "precious").touch()
    code, _, err = run(capsys, "up", folder)
    assert (code, "holds something else than a double: name another --folder." in err) == (1, True)
    run(capsys, "down", folder)
    assert (folder / "precious").exists()
    (folder / "precious").unlink()


def test_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(path, **_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RehearsalError, match="is not yours to write: name a --folder"):
        runner.up(Layout(tmp_path / "double"), {}, print)


def test_taken_port(capsys, folder, ports):
    with socket.create_server((ADDRESS, int(ports[5]))):
        code, _, err = run(capsys, "up", folder, *ports)
    assert code == 1
    assert "The server ended: OSError: [Errno 98] Address already in use" in err
    assert str(Layout(folder).output) in err
    assert run(capsys, "up", folder)[0] == 0


def test_server_in_a_thread(folder, ports):
    """The work of the server process, in a thread: it serves until SIGTERM and leaves nothing."""
    paths = Layout(folder)
    folder.mkdir()
    paths.record.touch(mode=0o600)
    address, proxy, plain = ports[1::2]
    options = {"address": address, "proxy_port": int(proxy), "plain_port": int(plain)}
    write_private(paths.settings, json.dumps({**options, "project": "q", "kubernetes": "/k"}))
    thread = threading.Thread(target=runner.serve, args=[folder])
    before = set(threading.enumerate())
    thread.start()
    with paths.record.open("rb") as file:  # like the server process, which inherits the lock
        fcntl.flock(file, fcntl.LOCK_EX)
        runner._wait_until_well(paths)
        assert runner.ask(f"http://{address}:{plain}", "GET", "health")["project"] == "q"
        assert pid_of(folder) == os.getpid()
        signal.pthread_kill(thread.ident, signal.SIGTERM)
        thread.join()
    # Threads that answered a request end soon; some threads of other tests may have ended, too.
    until(lambda: not set(threading.enumerate()) - before)
    paths.record.write_text("")


def test_address_of_another_double(capsys, folder, ports, tmp_path):
    assert run(capsys, "up", folder, *ports)[0] == 0
    code, _, err = run(capsys, "up", tmp_path / "second", *ports)
    assert code == 1
    assert "Address already in use" in err
    assert run(capsys, "down", tmp_path / "second")[0] == 0
    assert run(capsys, "status", folder)[0] == 0


def test_setting_that_the_model_does_not_know(capsys, folder, ports):
    code, _, err = run(capsys, "up", folder, *ports, "--set", "colour=red")
    assert code == 1
    assert "colour" in err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1.5", ("a", 1.5)),
        ("a=red", ("a", "red")),
        ('a={"b": [1]}', ("a", {"b": [1]})),
        ("a=", ("a", "")),
    ],
)
def test_setting(text, expected):
    assert __main__._setting(text) == expected


def test_what_is_no_setting(capsys):
    with pytest.raises(SystemExit):
        __main__.main(["up", "--set", "nonsense"])
    assert "'nonsense' is not NAME=JSON" in capsys.readouterr().err


def test_another_command_is_at_it(capsys, folder, ports):
    paths = Layout(folder)
    folder.mkdir()
    paths.record.touch(mode=0o600)
    with paths.record.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RehearsalError, match="Another command is at"), runner._lock(paths):
            pass
    assert run(capsys, "up", folder, *ports)[0] == 0


def test_process_that_does_not_heed(capsys, folder, monkeypatch):
    """`down` fails with a message if it cannot end the lock's holder; it does not wait forever."""
    paths = Layout(folder)
    folder.mkdir()
    paths.record.touch(mode=0o600)
    monkeypatch.setattr(runner, "_ENDS_WITHIN", 0.0)
    with paths.record.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, _, err = run(capsys, "down", folder)
        assert (code, "but not its number in it" in err) == (1, True)


def test_process_that_must_be_killed(capsys, folder, monkeypatch):
    paths = Layout(folder)
    folder.mkdir()
    paths.record.touch(mode=0o600)
    monkeypatch.setattr(runner, "_ENDS_WITHIN", 0.2)
    deaf = "trap '' TERM; echo ready; while :; do :; done"
    with paths.record.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        process = subprocess.Popen(
            ["sh", "-c", deaf], stdout=subprocess.PIPE, pass_fds=[file.fileno()]
        )
        paths.record.write_text(f"{process.pid}\n")
    with process:
        assert process.stdout.readline() == b"ready\n"
        assert run(capsys, "down", folder) == (0, "", "The double is down.\n")
        assert process.wait() == -signal.SIGKILL


def kubeconfig(folder, server="https://127.0.0.9", **changes):
    cluster = {"server": server, "certificate-authority-data": "QQ==", **changes}
    folder.mkdir(exist_ok=True)
    content = {"clusters": [{"name": "a", "cluster": cluster}]}
    (folder / "kubeconfig").write_text(json.dumps(content))
    return str(folder)


def test_kubernetes_stands_for_the_clusters(tmp_path):
    folder = kubeconfig(tmp_path / "kubernetes")
    assert runner._clusters_of(folder) == {
        "endpoint": "127.0.0.9",
        "cluster_authority": "QQ==",
        "kubeconfig": f"{folder}/kubeconfig",
    }
    assert runner._clusters_of(None) == {}
    assert runner._clusters_of(kubeconfig(tmp_path / "kubernetes", "https://127.0.0.9:443"))


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        ("https://127.0.0.9:6443", "the clusters of GKE are at https://ADDRESS, port 443"),
        ("http://127.0.0.9", "the clusters of GKE are at https://ADDRESS, port 443"),
    ],
)
def test_kubernetes_that_cannot_stand_for_a_cluster(tmp_path, server, sentence):
    with pytest.raises(RehearsalError, match=sentence):
        runner._clusters_of(kubeconfig(tmp_path, server))


@pytest.mark.parametrize("content", ["{}", "clusters: []", ":", "clusters: [{cluster: {}}]"])
def test_kubeconfig_that_is_none(tmp_path, content):
    (tmp_path / "kubeconfig").write_text(content)
    with pytest.raises(RehearsalError, match="is no kubeconfig"):
        runner._clusters_of(str(tmp_path))


def test_kubernetes_that_is_not_up(capsys, folder, tmp_path):
    code, _, err = run(capsys, "up", folder, "--kubernetes", str(tmp_path))
    assert code == 1
    assert "`python -m rehearsal.kubernetes up` first" in err


def test_summary_of_the_requests(capsys, folder, ports):
    assert run(capsys, "up", folder, *ports)[0] == 0
    line = {"time": 0, "host": "container.googleapis.com", "mutating": True}
    entries = [
        {**line, "method_id": "container.projects.locations.clusters.create"},
        {**line, "method_id": "container.projects.locations.clusters.create"},
        {**line, "method_id": "", "host": "example.com", "mutating": False},
    ]
    text = "".join(f"{json.dumps(entry)}\n" for entry in entries)
    Layout(folder).requests.write_text(text)
    out = run(capsys, "status", folder)[1]
    assert "     2 * container.projects.locations.clusters.create\n" in out
    assert "     1   refused: example.com\n" in out


def test_unknown_command():
    with pytest.raises(SystemExit):
        __main__.main(["dance"])


def test_as_a_module(tmp_path):
    command = [sys.executable, "-m", "rehearsal.gke", "status", "--folder", str(tmp_path / "none")]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (3, "The double is not up.\n")
