"""Up, up again, killed, down: a cluster in a separate network, in parallel to the shared one."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

from rehearsal.kubernetes import __main__, build, host, network, runner
from rehearsal.kubernetes.cgroups import Cgroups
from rehearsal.kubernetes.layout import Layout
from support import ROOT, private_network
from support.real_cluster import Cluster

WITHIN = 60.0


class Machine:
    """Commands on one cluster, and its traces on the machine."""

    def __init__(self, folder, network_inode):
        self.paths = Layout(folder)
        self.network = network_inode
        self.options = ["--folder", str(folder)]

    def run(self, command):
        return __main__.main([command, *self.options])

    def start(self, command):
        """Run a command as a process that can be killed."""
        return subprocess.Popen(
            [sys.executable, "-m", "rehearsal.kubernetes", command, *self.options],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def cluster(self):
        return Cluster(self.paths.kubeconfig, "rehearsal", str(self.paths.kubectl), self.paths)

    def pids(self):
        return {each.component.name: each.pid for each in runner.status(self.paths) if each.pid}

    def each_runs_once(self):
        """Return whether each component is one process; while starting a command it is two."""
        cgroups = Cgroups.of_this_machine(self.paths.cgroup)
        running = {}
        for each in runner.status(self.paths):
            name, program = each.component.name, each.component.program.resolve()
            pids = cgroups.processes(name)
            running[name] = [pid for pid in pids if _program(pid) == program]
        return len(running) == 12 and all(len(pids) == 1 for pids in running.values())

    def writes(self):
        """Return the runner's mutating requests."""
        by_runner = self.cluster().audit('"rehearsal-runner"')
        return [event for event in by_runner if event["verb"] not in {"get", "list", "watch"}]

    def traces(self):
        """Return everything that the cluster changes on the machine."""
        name = self.paths.cgroup
        return {
            "processes": sorted(self._processes()),
            "mounts": [line for line in _lines("/proc/self/mountinfo") if self._names(line)],
            "cgroups": sorted(map(str, Path("/sys/fs/cgroup").glob(f"*/{name}"))),
            "links": sorted(link["ifname"] for link in _json("ip", "-json", "link")),
            "addresses": [link["addr_info"] for link in _json("ip", "-json", "address")],
            "routes": _json("ip", "-json", "route", "show", "table", "all"),
            "iptables": _rules("iptables-save") + _rules("ip6tables-save"),
            "settings": network.read_settings(),
            "files": sorted(str(path) for path in self._files()),
        }

    def assert_as(self, before):
        """Compare with the earlier traces; killed processes take a moment to disappear."""
        end = time.monotonic() + WITHIN
        while self.traces() != before and time.monotonic() < end:
            time.sleep(0.1)
        assert self.traces() == before

    def _names(self, text):
        return str(self.paths.folder) in text

    def _processes(self):
        for process in Path("/proc").glob("[0-9]*"):
            try:
                inside = (process / "ns/net").stat().st_ino == self.network
                command = (process / "cmdline").read_text().replace("\0", " ")
                ours = self.paths.cgroup in (process / "cgroup").read_text()
            except OSError:
                continue  # it has ended, or is PID 1
            if int(process.name) != os.getpid() and (inside or ours or self._names(command)):
                yield f"{process.name} {command}"

    def _files(self):
        if self.paths.folder.exists():
            yield self.paths.folder
        yield from Path("/run").glob(f"{self.paths.cgroup}*")
        yield from Path("/var/lib/cni").glob(f"**/{self.paths.cgroup}*")
        for link in Path("/var/log/containers").glob("*"):
            with contextlib.suppress(FileNotFoundError):  # another cluster's, just removed
                if self._names(str(link.readlink())):
                    yield link


def _program(pid):
    try:
        return Path(f"/proc/{pid}/exe").readlink()
    except OSError:  # it has ended
        return None


def _lines(path):
    return Path(path).read_text(encoding="utf-8").splitlines()


def _json(*command):
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout or "[]")


def _rules(command):
    """Return all rules, chains and policies, except the kernel's built-in empty chains."""
    saved = subprocess.run([command], capture_output=True, text=True, check=True).stdout
    found, table = [], ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line
        elif line.startswith(":") and " ACCEPT " not in line:
            found.append(f"{table} {line.split(' [')[0]}")
        elif line.startswith("-"):
            found.append(f"{table} {line}")
    return sorted(found)


def _until(true, what):
    end = time.monotonic() + WITHIN
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.1)


@pytest.fixture
def machine():
    build.ensure_built(build.cache_folder(os.environ), print)
    # The paths of pytest's folders are too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="dma-", dir="/tmp"))
    foreign = (
        # The policy that a Docker engine sets, and foreign rules.
        "-P FORWARD DROP",
        "-N MINE",
        "-A FORWARD -j MINE",
        "-A MINE -s 192.0.2.0/24 -m comment --comment KUBE-SERVICES -j DROP",
    )
    with private_network.entered() as inode:
        for rule in foreign:
            subprocess.run(["iptables", "--wait", *rule.split()], check=True)
        # A new network inherits the machine's settings, which the shared cluster may have changed.
        for setting in ("ip_forward", "conf/all/route_localnet"):
            Path("/proc/sys/net/ipv4", setting).write_text("0")
        made = Machine(folder / "rehearsal", inode)
        try:
            yield made
        finally:
            made.run("down")
            shutil.rmtree(folder)


def _serve(cluster):
    """Run two pods behind a load balancer; return its address once it answers."""
    image = cluster.image("web", "served\n")
    pulling = {"imagePullSecrets": [{"name": cluster.pull_secret("default")}]}
    cluster.kubectl("patch", "serviceaccount", "default", f"--patch={json.dumps(pulling)}")
    cluster.kubectl("create", "deployment", "web", f"--image={image}", "--replicas=2")
    exposed = ("--port=80", "--target-port=8080", "--type=LoadBalancer")
    cluster.kubectl("expose", "deployment", "web", *exposed)
    cluster.kubectl("rollout", "status", "deployment", "web", f"--timeout={WITHIN:.0f}s")
    _until(lambda: _address(cluster), "no address")
    address = _address(cluster)
    _until(lambda: _answer(address) == b"served\n", "no answer")
    return address


def _address(cluster):
    balancer = cluster.get("service", "web")["status"]["loadBalancer"]
    return balancer["ingress"][0]["ip"] if balancer else ""


def _answer(address):
    try:
        with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
            return answer.read()
    except OSError as error:
        return str(error)


def test_down_leaves_nothing(machine, capsys):
    before = machine.traces()
    assert machine.run("status") == 3

    assert machine.run("up") == 0
    assert _serve(machine.cluster()) == "127.0.10.1"
    pids, during = machine.pids(), machine.traces()
    assert len(pids) == 12
    # The comparison can fail: while the cluster is up, there are traces of each kind.
    assert {kind for kind in before if before[kind] == during[kind]} == set()
    tasks = machine.paths.containerd / "state/io.containerd.runtime.v2.task"
    sockets = {path.read_text().removeprefix("unix://") for path in tasks.glob("*/*/address")}
    assert sockets
    written = machine.writes()
    capsys.readouterr()

    assert machine.run("up") == 0
    assert "is up already" in capsys.readouterr().err
    assert machine.pids() == pids
    assert machine.writes() == written
    assert machine.run("status") == 0
    assert machine.run("env") == 0

    assert machine.run("down") == 0
    machine.assert_as(before)
    assert [path for path in sockets if Path(path).exists()] == []
    assert machine.run("down") == 0
    assert "is not up" in capsys.readouterr().err
    assert machine.run("env") == 1


def test_up_brings_back_what_was_killed(machine, capsys):
    before = machine.traces()
    assert machine.run("up") == 0
    address = _serve(machine.cluster())
    killed = ("containerd", "etcd", "kubelet", "kube-proxy")
    pids = machine.pids()
    for name in killed:
        os.kill(pids[name], signal.SIGKILL)
    _until(lambda: len(machine.pids()) == len(pids) - len(killed), "they live")
    capsys.readouterr()

    assert machine.run("status") == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if "is not running" in line] == list(killed)
    assert machine.run("up") == 0
    after = machine.pids()
    assert {name for name in pids if pids[name] != after[name]} == set(killed)
    assert _answer(address) == b"served\n"

    # Everything is killed at once, including the pods, as in a power failure.
    Cgroups.of_this_machine(machine.paths.cgroup).end_all()
    assert machine.run("up") == 0
    _until(lambda: _answer(address) == b"served\n", "the pods do not come back")

    _restart(machine)
    assert machine.run("up") == 0
    _until(lambda: _answer(address) == b"served\n", "the pods do not come back")

    # A component cannot start.
    os.kill(machine.pids()["kube-scheduler"], signal.SIGKILL)
    _until(lambda: "kube-scheduler" not in machine.pids(), "it lives")
    (machine.paths.configuration / "scheduler.json").write_text("{}")
    capsys.readouterr()
    assert machine.run("up") == 1
    said = capsys.readouterr().err
    assert "rehearsal: kube-scheduler ended: " in said
    assert "logs/kube-scheduler.log" in said

    assert machine.run("down") == 0
    machine.assert_as(before)


def _restart(machine):
    """Leave what a restart of the machine leaves: files, whose state is from before it."""
    Cgroups.of_this_machine(machine.paths.cgroup).end_all()
    host.unmount_below(machine.paths.folder)
    network.remove()
    state = runner.State.read(machine.paths.state)
    state.boot = "another"
    state.write(machine.paths.state)
    # The old records name existing processes, which are now those of others.
    for record in machine.paths.processes.iterdir():
        record.write_text(Path("/proc/self/stat").read_text())


LINES = ("", "containerd started", "kube-apiserver started", "metrics-server started")


@pytest.mark.parametrize(("line", "after"), [*zip(LINES, (0.1, 0.2, 0.3, 0.4), strict=True)])
def test_killed_up_and_killed_down_converge(machine, line, after):
    before = machine.traces()
    _kill_up(machine, line)
    assert machine.run("up") == 0
    assert machine.run("status") == 0
    _until(machine.each_runs_once, "a component runs twice, or not at all")

    command = machine.start("down")
    try:
        command.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        command.kill()
        command.communicate()
    assert machine.run("down") == 0
    machine.assert_as(before)


@pytest.mark.parametrize("line", LINES)
def test_down_after_a_killed_up(machine, line):
    before = machine.traces()
    _kill_up(machine, line)
    assert machine.run("down") == 0
    machine.assert_as(before)


def _kill_up(machine, line):
    """Kill `up` once it has printed a line with this text, or once there is a state."""
    command = machine.start("up")
    if line:
        while line not in (said := command.stderr.readline()):
            assert said, "it ended before that"
    else:
        _until(machine.paths.state.exists, "no state")
    command.kill()
    command.communicate()


def test_others_at_the_same_time(machine):
    """Two commands at once, and a Docker engine that comes while the cluster is up."""
    first, second = machine.start("up"), machine.start("up")
    said = first.communicate()[1], second.communicate()[1]
    assert (first.returncode, second.returncode) == (0, 0), said
    assert sorted("is up already" in text for text in said) == [False, True]
    assert any("waiting for it" in text for text in said)
    _until(machine.each_runs_once, "a component runs twice, or not at all")

    # The engine needs the forwarding that the cluster has switched on.
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    subprocess.run(["iptables", "--wait", "-t", "filter", "-N", "DOCKER"], check=True)
    assert forwarding.read_text() == "1\n"
    assert machine.run("down") == 0
    assert forwarding.read_text() == "1\n"


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("iptables --wait -t nat -N KUBE-SERVICES", "Another Kubernetes has its rules"),
        ("ip link add dma0 type bridge", "An interface dma0 is there"),
        ("ip route add 10.199.0.0/16 dev lo", "The network 10.199.0.0/16 of lo overlaps"),
    ],
)
def test_what_is_somebody_elses_is_left_alone(machine, command, sentence, capsys):
    subprocess.run(command.split(), check=True)
    before = machine.traces()
    assert machine.run("up") == 1
    assert sentence in capsys.readouterr().err
    machine.assert_as(before)


def test_taken_port(machine, capsys):
    with socket.create_server(("127.0.20.2", 5000)):
        assert machine.run("up") == 1
    assert "127.0.20.2:5000 is taken" in capsys.readouterr().err
    assert not machine.paths.folder.exists()


def test_foreign_folder_is_neither_used_nor_removed(machine, capsys):
    machine.paths.folder.mkdir()
    file = machine.paths.folder / "thesis"
    file.write_text("years")
    assert machine.run("up") == 1
    assert "holds something else" in capsys.readouterr().err
    assert machine.run("down") == 0
    assert "is not up" in capsys.readouterr().err
    assert file.read_text() == "years"
