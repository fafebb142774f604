"""The output of runs of small playbooks; test_what_a_run_shows.py tests that of site.yml."""

import importlib.util
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from support import ROOT
from support.ansible_run import PLAYBOOK, REPORTING, show_playbook

PLUGIN = ROOT / "callback_plugins" / "stages.py"
SECONDS = re.compile(r" \(\d+\.\d s\)")


def module():
    specification = importlib.util.spec_from_file_location("stages", PLUGIN)
    made = sys.modules["stages"] = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(made)
    return made


STAGES = module()
INVENTORY = {
    "all": {
        "vars": {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        },
        "hosts": {"one": {}, "two": {}},
    }
}


@pytest.fixture
def show(tmp_path):
    """Return a function that runs plays, by default on host one; it returns status and lines."""
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(yaml.safe_dump(INVENTORY))

    def written(plays):
        path = tmp_path / "plays.yml"
        plays = [{"hosts": "one", "gather_facts": False, **play} for play in plays]
        path.write_text(yaml.safe_dump(plays, sort_keys=False))
        return [f"--inventory={inventory}", path]

    def shown(*plays, options=(), **environment):
        status, text = show_playbook(*written(plays), *options, **environment)
        return status, SECONDS.sub("", text).splitlines()

    shown.written = written
    return shown


def play(name, *tasks, **more):
    return {"name": name, "tasks": list(tasks), **more}


def task(name, action, **arguments):
    keywords = {key[1:]: arguments.pop(key) for key in list(arguments) if key.startswith("_")}
    return {"name": name, f"ansible.builtin.{action}": arguments, **keywords}


def change(name, **more):
    return task(name, "debug", msg="", _changed_when=True, **more)


CASES = {
    "nothing to do": (
        [play("Images", task("Look", "command", argv=["true"], _changed_when=False))],
        ["Images: ok", "one: changed=0 ok=1"],
    ),
    "a play without hosts": (
        [
            play("Docker on Windows", change("Install"), hosts="nobody"),
            play("Images", change("Build")),
        ],
        ["  changed: Build", "Images: 1 change", "one: changed=1 ok=1"],
    ),
    "a play whose tasks are all skipped": (
        [play("Images", change("Build", _when=False)), play("Check", task("Ask", "ping"))],
        ["Check: ok", "one: changed=0 ok=1"],
    ),
    "changes": (
        [
            play(
                "Containers",
                change("Start"),
                change("Replace", _loop=["web", "api"]),
                change("Remove", _loop=["a b"], _loop_control={"label": "a"}),
            )
        ],
        [
            "  changed: Start",
            "  changed: Replace: web",
            "  changed: Replace: api",
            "  changed: Remove: a",
            "Containers: 4 changes",
            "one: changed=3 ok=3",
        ],
    ),
    "changes that say what they are": (
        [
            play(
                "Images",
                task(
                    "Say what",
                    "debug",
                    msg="Would build {{ item }}.",
                    _loop=["a", "b"],
                    _changed_when=True,
                ),
            )
        ],
        ["    Would build a.", "    Would build b.", "Images: 2 changes", "one: changed=1 ok=1"],
    ),
    "several hosts": (
        [play("Clusters", change("Create"), hosts="all", strategy="linear")],
        [
            "  changed: one: Create",
            "  changed: two: Create",
            "Clusters: 2 changes",
            "one: changed=1 ok=1",
            "two: changed=1 ok=1",
        ],
    ),
    "words": (
        [
            play(
                "Check",
                task("Say", "debug", msg={"checked": ["a answered"], "try": ["curl a"]}),
                task("Say lines", "debug", msg=["x", "y"]),
                task("Say nothing", "debug", msg=[]),
                task("Prove", "assert", that=["true"], success_msg="Nothing is left."),
                task("Prove quietly", "assert", that=["true"], quiet=True),
                task("Prove without words", "assert", that=["true"]),
            )
        ],
        [
            "    checked:",
            "    - a answered",
            "    try:",
            "    - curl a",
            "    x",
            "    y",
            "    Nothing is left.",
            "Check: ok",
            "one: changed=0 ok=6",
        ],
    ),
    "words of several hosts": (
        [play("Plan", task("Say", "debug", msg="A  B\nc  d"), hosts="all")],
        [
            *("  one:", "    A  B", "    c  d", "  two:", "    A  B", "    c  d"),
            *("Plan: ok", "one: changed=0 ok=1", "two: changed=0 ok=1"),
        ],
    ),
    "what the play deals with": (
        [
            play(
                "Docker engine",
                {
                    "name": "Start it",
                    "block": [{"name": "Try", "block": [task("Start", "command", argv=["false"])]}],
                    "rescue": [change("Start it otherwise")],
                },
                task("Look", "command", argv=["false"], _ignore_errors=True, _changed_when=False),
            )
        ],
        ["  changed: Start it otherwise", "Docker engine: 1 change", "one: changed=1 ok=2"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_runs(show, case):
    plays, lines = CASES[case]
    status, shown = show(*plays)
    assert (status, [line for line in shown if "host pattern" not in line]) == (0, lines)


FAILURES = {
    "an assertion": (
        [task("Check", "assert", that=["1 == 2"], fail_msg="x is 1: set y.", quiet=True)],
        ["  failed: Check (on one)", "    x is 1: set y."],
    ),
    "a command": (
        [task("Build", "command", argv=["sh", "-c", "echo no room >&2; exit 3"])],
        ["  failed: Build (on one)", "    non-zero return code", "rc: 3", "no room"],
    ),
    "an item": (
        [
            task("Fail", "fail", msg="{{ item }} is wrong.", _loop=["a", "b"], _when="item == 'b'"),
        ],
        ["  failed: Fail: b (on one)", "    b is wrong.\nStage: failed"],
    ),
    "in rescue": (
        [
            {
                "name": "Start",
                "block": [task("Try", "fail", msg="tried")],
                "rescue": [task("Say why", "fail", msg="The engine does not start.")],
            }
        ],
        ["  failed: Say why (on one)", "    The engine does not start."],
    ),
    "in always": (
        [
            {
                "name": "Start",
                "block": [task("Try", "ping")],
                "rescue": [task("Never", "ping")],
                "always": [task("Clean up", "fail", msg="It is not clean.")],
            }
        ],
        ["  failed: Clean up (on one)", "    It is not clean."],
    ),
    "secret": (
        [task("Log in", "fail", msg="s3cret", _no_log=True)],
        ["  failed: Log in (on one)", "censored"],
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_failures(show, case):
    tasks, words = FAILURES[case]
    status, shown = show(play("Stage", *tasks))
    text = "\n".join(shown)
    assert status == 2
    assert [word for word in words if word not in text] == []
    assert "tried" not in text
    assert "s3cret" not in text
    assert text.count("failed: ") == 1
    assert shown[-2] == "Stage: failed"
    assert "failed=1" in shown[-1]


def test_unreachable(show):
    there = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    status, shown = show(play("Stage", task("Look", "ping"), vars=there))
    assert status == 4
    assert shown[0] == "  unreachable: Look (on one)"
    assert "Connection refused" in "\n".join(shown)
    assert shown[-1] == "one: changed=0 ok=0 unreachable=1"


def test_check_mode_and_diff(show, tmp_path):
    file = task("Write", "copy", content="new\n", dest=f"{tmp_path}/file", mode="0644")
    status, shown = show(play("Stage", file), options=["--check", "--diff"])
    assert status == 0
    assert shown[0] == "  Write:"
    assert "    +new" in shown
    assert shown[-3:] == [
        "  would change: Write",
        "Stage: would make 1 change",
        "one: changed=1 ok=1",
    ]
    assert not (tmp_path / "file").exists()


def test_a_diff_that_is_not_to_be_shown(show, tmp_path):
    file = {"content": "new\n", "dest": f"{tmp_path}/file", "mode": "0644"}
    _, shown = show(play("Stage", task("Write", "copy", **file, _diff=False)), options=["--diff"])
    assert shown == ["  changed: Write", "Stage: 1 change", "one: changed=1 ok=1"]


def test_warnings_are_shown(show):
    script = task("Read", "command", argv=["echo"], _register="read", _changed_when=False)
    _, shown = show(play("Stage", script), ANSIBLE_PYTHON_INTERPRETER="auto")
    assert shown[-1] == "one: changed=0 ok=1"
    _, shown = show(play("Stage", {**script, "when": "read is not defined"}, hosts="one:none"))
    assert any("none" in line and "WARNING" in line for line in shown)


def test_more_is_ansibles_own(show):
    _, shown = show(play("Stage", change("Build")), options=["-v"])
    text = "\n".join(shown)
    assert "TASK [Build] ***" in text
    assert "PLAY RECAP ***" in text


# The live line

SAID = {
    "": "",
    "\n": "",
    "CREATE_CLUSTER of cluster web: RUNNING": "CREATE_CLUSTER of cluster web: RUNNING",
    "#5 [trained 1/3] COPY a b\n": "[trained 1/3] COPY a b",
    "#5 [trained 1/3] COPY a b\n#5 0.123 reading\n": "[trained 1/3] COPY a b: reading",
    "#5 [trained 2/3] RUN x\n#5 DONE 0.1s\n\n": "[trained 2/3] RUN x: DONE 0.1s",
    "#5 1.5 cut off at the front\n": "cut off at the front",
    "#1 [internal] load\n#5 [a 1/2] RUN x\n": "[a 1/2] RUN x",
}


@pytest.mark.parametrize("text", SAID)
def test_said(text):
    assert STAGES.said(text) == SAID[text]


PROGRAM = """\
for step in 1 2; do
    echo "#$step [stage $step/2] RUN step $step" >> "$DOCKER_ML_API_PROGRESS/build.log"
    sleep 1.3
done
ls -d "$DOCKER_ML_API_PROGRESS" > FOLDER
"""


def on_a_terminal(command, **environment):
    """Return what a command writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = os.environ | REPORTING | {"ANSIBLE_STDOUT_CALLBACK": "stages"} | environment
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, cwd=ROOT, env=environment
    ) as process:
        os.close(theirs)
        written = b""
        # At the end of a terminal, reading raises an error on Linux.
        try:
            while part := os.read(ours, 65536):
                written += part
        except OSError:
            pass
        os.close(ours)
        assert process.wait() == 0
    return written.decode()


def test_a_terminal_shows_what_is_going_on(show, tmp_path):
    program = PROGRAM.replace("FOLDER", f"{tmp_path}/folder")
    build = task("Build", "command", argv=["sh", "-c", program])
    warn = task("Warn", "debug", msg="{{ 'a long word ' * 20 }}")
    command = [PLAYBOOK, *show.written([play("Images", build, warn)])]
    text = on_a_terminal(command, TERM="xterm", CI="", COLUMNS="60")
    live = re.findall(r"\r\x1b\[K(Images: Build, [^\r\n\x1b]+)", text)
    assert any(
        re.fullmatch(r"Images: Build, \d s: \[stage 2/2\] RUN step 2", line) for line in live
    )
    assert all(len(line) < 60 for line in live)
    # The live line is erased before each permanent line, and at the end.
    after = text[text.rindex(live[-1]) + len(live[-1]) :]
    assert after.startswith("\r\x1b[K")
    assert "changed: Build" in after
    assert not Path((tmp_path / "folder").read_text().strip()).exists()


@pytest.mark.parametrize(
    "environment", [{"TERM": "dumb", "CI": ""}, {"TERM": "xterm", "CI": "true"}]
)
def test_no_such_line_where_it_cannot_be_rewritten(show, environment):
    wait = task("Wait", "command", argv=["sleep", "1.3"], _changed_when=False)
    command = [PLAYBOOK, *show.written([play("Images", wait)])]
    assert "\x1b[K" not in on_a_terminal(command, **environment)
