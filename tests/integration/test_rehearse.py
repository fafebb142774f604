"""make rehearse and make rehearse-stop, in a separate network and separate folders.

These tests replace ansible-playbook; molecule's scenario gke runs the real site.yml.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from rehearsal.gke.layout import Layout as Google
from rehearsal.kubernetes.cgroups import Cgroups
from rehearsal.kubernetes.layout import Layout as Kubernetes
from rehearsal.run import __main__
from rehearsal.run.runner import Rehearsal, entries
from support import private_network

# Replaces ansible-playbook: does what an argument says, and records how it was called.
PLAYBOOK = """\
#!{python}
import json, os, pathlib, socket, sys, urllib.request
arguments = " ".join(sys.argv)
calls = pathlib.Path({calls!r})
names = ("IMAGE_REGISTRY_PASSWORD", "KUBECONFIG", "GCP_ACCESS_TOKEN", "NO_PROXY")
call = {{"arguments": arguments, **{{name: os.environ.get(name) for name in names}}}}
with calls.open("a") as file:
    file.write(json.dumps(call) + "\\n")
if "teardown" not in arguments:
    if "ask" in arguments:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
        try:
            opener.open("http://127.0.20.3:8080/container/v1/projects/x/locations/-/clusters")
        except OSError:
            pass  # 401: it has no token
    if "outside" in arguments:
        socket.socket(type=socket.SOCK_DGRAM).connect(("127.0.0.1", 1))
        try:
            socket.socket().connect(("192.0.2.1", 443))
        except OSError:
            pass
    hosts = {{"a": {{"changed": 2}}}}
    record = {{"spans": [], "checked": ["http://127.0.10.1/ answered"], "hosts": hosts}}
    pathlib.Path(os.environ["REHEARSAL_RECORD"]).write_text(json.dumps(record))
sys.exit(4 if "fail" in arguments else 0)
"""


class Machine:
    """A separate rehearsal and its traces."""

    def __init__(self, folder, network_inode):
        self.folder = folder
        self.network = network_inode
        self.rehearsal = Rehearsal(
            Google(folder / "state" / "gke"), Kubernetes(folder / "state" / "k8s")
        )
        self.calls_file = folder / "calls"

    def calls(self):
        return [json.loads(line) for line in self.calls_file.read_text().splitlines()]

    def processes(self):
        """Return the processes in this network or of this folder, except the current one."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                inside = (process / "ns/net").stat().st_ino == self.network
                command = (process / "cmdline").read_text()
            except OSError:
                continue  # it has ended, or is PID 1
            if (inside and int(process.name) != os.getpid()) or str(self.folder) in command:
                found.append(command)
        return found

    def remains(self):
        mounts = Path("/proc/self/mountinfo").read_text()
        return {
            "processes": self.processes(),
            "mounted": str(self.folder) in mounts,
            "groups": Cgroups.of_this_machine(self.rehearsal.kubernetes.cgroup).processes(),
            "files": (self.folder / "state").exists(),
            "links": subprocess.run(
                ["ip", "-brief", "link"], capture_output=True, text=True, check=True
            ).stdout.count("\n"),
        }


@pytest.fixture
def machine(monkeypatch):
    # A short path, since it is that of sockets. Not fixed to /tmp, which may be mounted noexec.
    folder = Path(tempfile.mkdtemp(prefix="rehearse-"))
    programs = folder / "bin"
    programs.mkdir()
    with private_network.entered() as inode:
        machine = Machine(folder, inode)
        playbook = programs / "ansible-playbook"
        text = PLAYBOOK.format(python=sys.executable, calls=str(machine.calls_file))
        playbook.write_text(text)
        playbook.chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        # Variables that refer to the real Google or to another cluster.
        monkeypatch.setenv("KUBECONFIG", "/elsewhere")
        monkeypatch.setenv("GCP_ACCESS_TOKEN", "real")
        monkeypatch.setenv("NO_PROXY", "example.com")
        yield machine
        for name in ("gke", "kubernetes"):
            layout = machine.rehearsal.google if name == "gke" else machine.rehearsal.kubernetes
            command = [sys.executable, "-m", f"rehearsal.{name}", "down", "--folder"]
            subprocess.run([*command, str(layout.folder)], capture_output=True, check=True)
    shutil.rmtree(folder)


def test_up_again_and_down(machine, capfd):
    before = machine.remains()
    rehearsal = machine.rehearsal

    assert rehearsal.up(["--limit=ask"], watch=True) == 0
    said = capfd.readouterr()
    password = json.loads(rehearsal.kubernetes.login.read_text())["password"]
    (call,) = machine.calls()
    assert call["arguments"].endswith("--inventory inventory/rehearsal.yml site.yml --limit=ask")
    assert call["IMAGE_REGISTRY_PASSWORD"] == password
    assert (call["KUBECONFIG"], call["GCP_ACCESS_TOKEN"]) == (None, None)
    assert call["NO_PROXY"] == "localhost,127.0.0.0/8,example.com"
    assert password not in said.out + said.err
    for part in (
        "Checked:\n  http://127.0.10.1/ answered",
        "Requests to Google: 1; 0 mutating requests",
        "of the run (the kernel noted every one: 1 to 127.0.0.0/8",
        "The run went well; changed=2. All stays up:",
        f"{rehearsal.kubernetes.kubectl} --kubeconfig={rehearsal.kubernetes.kubeconfig}",
    ):
        assert part in said.out

    # It is up: the summary covers only the second run, which fails and leaves it up.
    assert rehearsal.up(["--tags=fail"], watch=True) == 4
    said = capfd.readouterr().out
    assert "Requests to Google: 0; 0 mutating requests" in said
    assert "The run FAILED (4)" in said
    assert "0   of the run (the kernel noted every one: 0 to" in said

    assert rehearsal.up(["--tags=outside"], watch=True) == 1
    said = capfd.readouterr().out
    assert "1   of the run (the kernel noted every one: 1 to 127.0.0.0/8" in said
    assert "to 192.0.2.1:443" in said

    assert rehearsal.up([], watch=False) == 0
    assert "Sockets: NOT watched." in capfd.readouterr().out

    # There were no containers before.
    rehearsal._note.write_text('{"containers": []}')
    assert rehearsal.down() == 0
    assert machine.calls()[-1]["arguments"].endswith("--tags=teardown --limit=docker_hosts")
    # Killed processes take a moment to disappear.
    end = time.monotonic() + 60
    while machine.remains() != before and time.monotonic() < end:
        time.sleep(0.1)
    assert machine.remains() == before
    assert rehearsal.down() == 0
    assert len(machine.calls()) == 5


def test_what_was_there_before_stays(machine):
    google = machine.rehearsal.google
    google.folder.mkdir(parents=True)
    machine.rehearsal._note.write_text('{"containers": ["hello-app"]}')
    machine.rehearsal._note_what_was_there()
    assert json.loads(machine.rehearsal._note.read_text()) == {"containers": ["hello-app"]}
    shutil.rmtree(google.folder)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "usage: python -m rehearsal.run up"),
        (["start"], 2, "usage: "),
        (["down", "--now"], 2, "usage: "),
    ],
)
def test_wrong_commands(capsys, arguments, status, said):
    assert __main__.main(arguments) == status
    assert capsys.readouterr().err.startswith(said)


def test_who_is_not_root_is_told(monkeypatch, capsys):
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert __main__.main(["up"]) == 1
    assert (
        capsys.readouterr().err
        == "rehearsal: root is needed, for Kubernetes: sudo make rehearse.\n"
    )


@pytest.mark.parametrize(("since", "times"), [(0, [1, 2]), (12, [2]), (24, []), (99, [1, 2])])
def test_log_since_the_run_began(tmp_path, since, times):
    log = tmp_path / "log"
    log.write_text('{"time": 1}\n{"time": 2}\n')
    assert [each["time"] for each in entries(log, since)] == times
