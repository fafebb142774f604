"""The command line for a user who is not root."""

import os
import re
import shlex
import sys

import pytest

from rehearsal.gke.layout import SERVICE_ACCOUNT
from rehearsal.kubernetes import __main__, runner
from rehearsal.kubernetes.errors import RehearsalError
from rehearsal.kubernetes.layout import Layout


@pytest.fixture
def not_root(tmp_path, monkeypatch):  # noqa: ARG001 - pytest creates it as the real user
    monkeypatch.setattr(os, "getuid", lambda: 1000)


def write_sudo(folder, monkeypatch, script):
    (folder / "bin").mkdir()
    sudo = folder / "bin" / "sudo"
    sudo.write_text(f"#!/bin/sh\n{script}\n")
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")


@pytest.mark.parametrize("command", ["up", "down", "status"])
@pytest.mark.usefixtures("not_root")
def test_user_becomes_root(tmp_path, monkeypatch, command):
    asked = tmp_path / "asked"
    write_sudo(
        tmp_path, monkeypatch, f'[ "$2" = true ] || {{ printf "%s " "$@" > {asked}; exit 7; }}'
    )
    folder = tmp_path / "cluster"
    programs = ["--programs", str(tmp_path)] if command == "up" else []
    assert __main__.main([command, "--folder", str(folder), *programs]) == 7
    assert shlex.split(asked.read_text()) == [
        *("-n", sys.executable, "-m", "rehearsal.kubernetes", command),
        *("--folder", str(folder), *programs),
    ]


@pytest.mark.usefixtures("not_root")
def test_root_is_told_of_the_webhook(tmp_path, monkeypatch):
    asked = tmp_path / "asked"
    write_sudo(tmp_path, monkeypatch, f'[ "$2" = true ] || printf "%s " "$@" > {asked}')
    url = "http://127.0.20.3:8080/tokenreview"
    given = ["--programs", str(tmp_path), "--token-webhook", url]
    assert __main__.main(["up", "--folder", str(tmp_path / "cluster"), *given]) == 0
    assert asked.read_text().endswith(
        f" --token-webhook {url} --token-administrator {SERVICE_ACCOUNT} "
    )


URL, ADMINISTRATOR = "http://127.0.20.3:8080/tokenreview", "someone@example.com"


@pytest.mark.parametrize(
    ("state", "known"),
    [
        ({}, "nobody"),
        (
            {"token_webhook": "http://127.0.0.1:1", "administrator": ADMINISTRATOR},
            f"http://127.0.0.1:1 (for {ADMINISTRATOR})",
        ),
    ],
)
def test_webhook_of_a_cluster_that_is_up_stays(state, known):
    before = runner.State("/programs", 0, 0, prepared=True, **state)
    sentence = f"asks {known} about tokens, not {URL} (for {ADMINISTRATOR}): `down`, then `up`."
    with pytest.raises(RehearsalError, match=re.escape(sentence)):
        before.take_webhook(URL, ADMINISTRATOR)


@pytest.mark.parametrize(
    "state",
    [
        {"prepared": True, "token_webhook": URL, "administrator": ADMINISTRATOR},
        {"prepared": False, "token_webhook": "http://127.0.0.1:1"},
    ],
)
def test_webhook_that_is_asked_already_or_can_be_yet(state):
    taken = runner.State("/programs", 0, 0, **state)
    taken.take_webhook(URL, ADMINISTRATOR)
    assert (taken.token_webhook, taken.administrator) == (URL, ADMINISTRATOR)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (
            "exit 1",
            "rehearsal: `down` needs root and sudo asks for a password: run `sudo -v` first.\n",
        ),
        (None, "rehearsal: `down` needs root: run it as root, or install sudo.\n"),
    ],
)
@pytest.mark.usefixtures("not_root")
def test_user_who_cannot(tmp_path, monkeypatch, capsys, script, sentence):
    if script:
        write_sudo(tmp_path, monkeypatch, script)
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    assert __main__.main(["down", "--folder", str(tmp_path / "cluster")]) == 1
    assert capsys.readouterr().err == sentence


def test_cluster_that_is_not_up(tmp_path, capsys):
    folder = ["--folder", str(tmp_path / "cluster")]
    assert __main__.main(["status", *folder]) == 3
    assert capsys.readouterr().out == "The cluster is not up.\n"
    assert __main__.main(["env", *folder]) == 1
    assert "python -m rehearsal.kubernetes up" in capsys.readouterr().err
    assert __main__.main(["down", *folder]) == 0
    assert capsys.readouterr().err == "The cluster is not up.\n"


def test_environment_is_what_a_shell_takes(tmp_path, capsys):
    (tmp_path / "kubeconfig").touch()
    assert __main__.main(["env", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out == (
        f"export KUBECONFIG={tmp_path}/kubeconfig\nexport PATH={tmp_path}/bin:$PATH\n"
    )


def test_unknown_command(capsys):
    with pytest.raises(SystemExit):
        __main__.main(["start"])
    assert "invalid choice: 'start'" in capsys.readouterr().err


def test_path_that_is_too_long_for_sockets(tmp_path, capsys):
    folder = tmp_path / ("x" * 80)
    assert __main__.main(["up", "--folder", str(folder), "--programs", str(tmp_path)]) == 1
    assert (
        "is too long for the sockets in it: name a --folder of at most" in capsys.readouterr().err
    )
    assert not folder.exists()


def test_folder_of_an_up_that_was_killed_at_once(tmp_path):
    folder = tmp_path / "cluster"
    folder.mkdir()
    (folder / "state.new").write_text('{"programs":')
    assert __main__.main(["down", "--folder", str(folder)]) == 0
    assert not folder.exists()
    assert tmp_path.exists()


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("", "it wrote nothing"),
        ("one\ntwo\n", "two"),
        ("E1122 19:11 x.go:1] wrong\nI1122 19:11 x.go:2] ended\n", "E1122 19:11 x.go:1] wrong"),
        ("F1122 fatal\ngoroutine 1\n\tx.go:37 +0x88\n", "F1122 fatal"),
        ("panic: why\n\ngoroutine 1 [running]:\nmain.main()\n", "panic: why"),
        ("Error: unknown flag\nUsage:\n  x [flags]\n", "Error: unknown flag"),
        ('time="x" level=fatal msg=why\ntime="x" level=info\n', 'time="x" level=fatal msg=why'),
        ('{"level":"fatal","msg":"why"}\n{"level":"info"}\n', '{"level":"fatal","msg":"why"}'),
    ],
)
def test_last_error_of_a_log(tmp_path, log, line):
    path = tmp_path / "log"
    path.write_text(log)
    assert runner.last_error(path) == line


def test_log_that_is_not_there(tmp_path):
    assert runner.last_error(tmp_path / "none") == "it wrote nothing"


@pytest.mark.parametrize(
    ("settings", "owner"), [({"SUDO_UID": "1000", "SUDO_GID": "100"}, (1000, 100)), ({}, (0, 0))]
)
def test_cluster_is_of_who_asked(tmp_path, monkeypatch, settings, owner):
    for name in ("SUDO_UID", "SUDO_GID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    paths = Layout(tmp_path / "cluster")
    state = runner._begin(paths, tmp_path)
    assert (state.owner, state.group) == owner
    assert runner.State.read(paths.state) == state

    runner._write(paths.kubeconfig, "secret", state)
    found = paths.kubeconfig.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (*owner, 0o600)


@pytest.mark.parametrize(
    ("items", "problem"),
    [
        ([], "absent"),
        ([{}], "absent"),
        ([{"status": {"conditions": [{"type": "Other", "status": "True"}]}}], "absent"),
        ([{"status": {"conditions": [{"type": "Ready", "status": "True"}]}}], None),
        (
            [{"status": {"conditions": [{"type": "Ready", "status": "False", "message": "why"}]}}],
            "why",
        ),
    ],
)
def test_condition(items, problem):
    assert runner._condition_problem(items, "Ready", "absent") == problem


def test_waiting_ends(monkeypatch):
    monkeypatch.setattr(runner, "_WELL_WITHIN", -1.0)
    with pytest.raises(runner.RehearsalError, match=r"s it is not well \(why\): `down`, then `up`"):
        runner._wait_until("it", lambda: "why")
