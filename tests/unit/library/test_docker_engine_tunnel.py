"""The tunnel itself, with a stand-in for ssh and with real TLS; it ends with its run."""

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import docker_engine_tunnel
import pytest
from ansible.module_utils.docker_ml_api.docker import tunnel

from support import processes, remote_engine
from support.run_module import run_module

# Replaces ssh: its login creates the same socket, and it connects to a local engine.
_SSH = """\
#!{python}
import os, pathlib, socket, sys, threading
words = sys.argv[1:]
path = next(w for w in words if w.startswith("ControlPath=")).partition("=")[2]
if "{refuse}":
    sys.exit("ada@server: Permission denied (publickey).")
if "ControlMaster=yes" in words:
    pathlib.Path(path).touch()
    sys.stdin.read()
    sys.exit()
target = words[words.index("-W") + 1] if "-W" in words else "engine"
if "{silent}":
    sys.exit("Cannot connect to the Docker daemon at unix:///x.")
request = os.read(0, 65536).decode()
body = target + " " + request.split(" ")[1]
os.write(1, f"HTTP/1.1 {status}\\r\\nContent-Length: {{len(body)}}\\r\\n\\r\\n{{body}}".encode())
"""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(path, what="/x"):
    with contextlib.closing(UnixConnection(path.removeprefix("unix://"))) as connection:
        connection.request("GET", what)
        return connection.getresponse().read().decode()


@pytest.fixture
def run(monkeypatch):
    """A process that a tunnel treats as its run."""
    with subprocess.Popen(["sleep", "600"]) as process:
        monkeypatch.setattr(docker_engine_tunnel, "run_of", lambda _pid: process.pid)
        yield process
        process.kill()


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    """Put a stand-in for ssh on the path."""

    def put(refuse="", silent="", status="200 OK"):
        path = tmp_path / "bin/ssh"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            _SSH.format(python=sys.executable, refuse=refuse, silent=silent, status=status)
        )
        path.chmod(0o700)
        monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")

    for name in ("DOCKER_TLS_VERIFY", "DOCKER_TLS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tunnel.tempfile, "tempdir", str(tmp_path))
    return put


@pytest.fixture(autouse=True)
def left(monkeypatch):
    """Return the remaining folders of this test's tunnels, without those of other tests."""
    made, make_folder = [], tunnel.make_folder

    def noted():
        made.append(make_folder())
        return made[-1]

    monkeypatch.setattr(tunnel, "make_folder", noted)
    return lambda: [folder for folder in made if folder.exists()]


def test_by_ssh_while_the_run_lasts(ssh, run, capsys):
    ssh()

    result = run_module(
        docker_engine_tunnel, capsys, engine="ssh://ada@server", ports=["127.0.0.1:9000"]
    )

    assert not result["changed"]
    assert (result["kind"], result["host"]) == ("ssh", "server")
    engine = result["environment"]["DOCKER_HOST"]
    assert ask(engine) == "engine /x"
    assert ask(engine) == "engine /x"
    assert ask(result["ports"]["127.0.0.1:9000"]) == "127.0.0.1:9000 /x"
    folder = Path(engine.removeprefix("unix://")).parent
    assert folder.stat().st_mode & 0o777 == 0o700

    run.kill()
    run.wait()
    remote_engine.wait_until(lambda: not folder.exists())


def test_it_ends_when_it_is_told_to(ssh, run, capsys):  # noqa: ARG001
    ssh()
    result = run_module(docker_engine_tunnel, capsys, engine="ssh://server")
    folder = Path(result["environment"]["DOCKER_HOST"].removeprefix("unix://")).parent
    (pid,) = [
        number
        for number, arguments in processes.files("cmdline")
        if str(folder / tunnel.PROGRAM).encode() in arguments
    ]

    os.kill(pid, signal.SIGTERM)

    remote_engine.wait_until(lambda: not folder.exists())


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ({"refuse": "yes"}, "accepts no key"),
        ({"silent": "yes"}, "no engine runs there"),
        ({"status": "404 Not Found"}, "no Docker engine (HTTP/1.1 404 Not Found)"),
    ],
)
@pytest.mark.usefixtures("run")
def test_troubles_by_ssh(ssh, capsys, left, trouble, words):
    ssh(**trouble)

    result = run_module(docker_engine_tunnel, capsys, engine="ssh://ada@server")

    assert result["failed"]
    assert result["msg"].startswith("docker_engine ssh://ada@server cannot be ")
    assert words in result["msg"]
    assert left() == []


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "http://x"}, "docker_engine must be"),
        ({"engine": "ssh://server", "connection": "winrm"}, "set ansible_connection of that host"),
        ({"engine": "ssh://server", "ssh_args": "'"}, "docker_engine_ssh_args"),
        ({"engine": "tcp://server"}, "TLS only"),
        ({"engine": "tcp://server", "tls_ca": "/x"}, "docker_engine_tls_cert is not set"),
    ],
)
def test_wrong_options(ssh, capsys, left, options, words):
    ssh()
    result = run_module(docker_engine_tunnel, capsys, **options)
    assert result["failed"]
    assert words in result["msg"]
    assert left() == []


def test_no_ssh(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run_module(docker_engine_tunnel, capsys, engine="ssh://server")
    assert "there is no ssh on this machine" in result["msg"]


def test_engines_of_this_machine_need_no_tunnel(capsys):
    assert run_module(docker_engine_tunnel, capsys)["environment"] == {}
    result = run_module(docker_engine_tunnel, capsys, engine="unix:///x")
    assert result["environment"]["DOCKER_HOST"] == "unix:///x"
    assert (result["kind"], result["host"], result["ports"]) == ("unix", "", {})


# TLS


class Peer(threading.Thread):
    """An engine's TLS port that echoes what it receives, also large amounts."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder = folder
        self.context = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cafile=folder / "server/ca.pem"
        )
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_cert_chain(folder / "server/cert.pem", folder / "server/key.pem")
        self.listener = socket.create_server((remote_engine.TLS_ADDRESS, 0))
        self.port = self.listener.getsockname()[1]
        self.errors = []

    def run(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(plain,), daemon=True).start()

    def serve(self, plain):
        try:
            with self.context.wrap_socket(plain, server_side=True) as connection:
                said = connection.recv(65536)
                path = said.split(b" ")[1]
                if path == b"/upload":
                    length = int(said.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
                    body = said.partition(b"\r\n\r\n")[2]
                    while len(body) < length:
                        body += connection.recv(65536)
                else:
                    body = path * (1 if path == b"/_ping" else 1 << 20)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
                connection.sendall(body)
        except OSError as error:
            self.errors.append(error)


@pytest.fixture
def peer(tmp_path):
    remote_engine.write_certificates(tmp_path)
    made = Peer(tmp_path)
    made.start()
    yield made
    made.listener.close()


def tls_options(peer, client="client"):
    address = f"tcp://{remote_engine.TLS_ADDRESS}:{peer.port}"
    return {"engine": address, "tls": str(peer.folder / client)}


@pytest.mark.usefixtures("ssh")
def test_by_tls(run, capsys, peer):
    result = run_module(docker_engine_tunnel, capsys, **tls_options(peer))

    assert (result["kind"], result["host"]) == ("tcp", remote_engine.TLS_ADDRESS)
    engine = result["environment"]["DOCKER_HOST"]
    assert ask(engine, "/ab") == "/ab" * (1 << 20)
    much = os.urandom(3 << 20)
    with contextlib.closing(UnixConnection(engine.removeprefix("unix://"))) as connection:
        connection.request("POST", "/upload", body=much)
        assert connection.getresponse().read() == much

    run.kill()
    run.wait()
    folder = Path(engine.removeprefix("unix://")).parent
    remote_engine.wait_until(lambda: not folder.exists())


@pytest.mark.usefixtures("ssh", "run")
@pytest.mark.parametrize(
    ("client", "words"),
    [("stranger", "does not accept"), ("mistrusting", "its certificate is refused")],
)
def test_troubles_by_tls(capsys, peer, left, client, words):
    result = run_module(docker_engine_tunnel, capsys, **tls_options(peer, client))
    assert result["failed"]
    assert words in result["msg"]
    assert left() == []


@pytest.fixture
def carried(tmp_path):
    """Both ends between which `carry` forwards data, and its thread."""
    remote_engine.write_certificates(tmp_path)
    near, ours = socket.socketpair()
    one, other = socket.socketpair()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(tmp_path / "server/cert.pem", tmp_path / "server/key.pem")
    client = ssl.create_default_context(cafile=tmp_path / "client/ca.pem")
    made = []
    shaking = threading.Thread(
        target=lambda: made.append(server.wrap_socket(other, server_side=True))
    )
    shaking.start()
    far = client.wrap_socket(one, server_hostname=remote_engine.TLS_ADDRESS)
    shaking.join()

    def lead():
        with near, far:
            tunnel.carry(near, far)

    thread = threading.Thread(target=lead, daemon=True)
    thread.start()
    with ours, made[0]:
        for end in (ours, made[0]):
            end.settimeout(30)
        yield ours, made[0], thread


def test_what_is_half_closed_still_hears(carried):
    ours, engine, thread = carried
    ours.sendall(b"ask")
    ours.shutdown(socket.SHUT_WR)
    assert engine.recv(10) == b"ask"
    engine.sendall(b"answer")
    assert ours.recv(10) == b"answer"
    engine.close()
    thread.join(30)
    assert not thread.is_alive()


def test_a_client_that_is_gone_ends_it(carried):
    ours, _engine, thread = carried
    ours.close()
    thread.join(30)
    assert not thread.is_alive()


def test_what_waits_for_a_slow_reader_is_bounded_and_whole(carried):
    ours, engine, thread = carried
    much = os.urandom(8 << 20)

    def say():
        engine.sendall(much)
        engine.close()

    threading.Thread(target=say, daemon=True).start()
    time.sleep(0.1)
    heard = b""
    while more := ours.recv(1 << 16):
        heard += more
    assert heard == much
    thread.join(30)


# The run


def test_the_run_is_the_outermost_ansible(tmp_path):
    for pid, parent, words in (
        (40, 30, ["/v/python", "/home/ada/AnsiballZ_x.py"]),
        (30, 25, ["/bin/sh", "-c", "x"]),
        (25, 20, ["/v/python", "/v/bin/ansible-playbook", "site.yml"]),
        (20, 10, ["/v/python", "/v/bin/ansible-playbook", "site.yml"]),
        (10, 5, ["/bin/bash"]),
        (5, 1, ["/v/python", "/v/bin/ansible-playbook", "other.yml"]),
    ):
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "cmdline").write_text("\0".join(words))
        (folder / "stat").write_text(f"{pid} (a) b) S {parent} 0")
    assert docker_engine_tunnel.run_of(40, tmp_path) == 20
    assert docker_engine_tunnel.run_of(20, tmp_path) == 20
    assert docker_engine_tunnel.run_of(10, tmp_path) == 5
    assert docker_engine_tunnel.run_of(99, tmp_path) == os.getppid()


def test_the_birth_of_a_process():
    mine = tunnel.birth(os.getpid())
    assert mine
    assert mine == tunnel.birth(os.getpid())
    with subprocess.Popen(["true"]) as process:
        remote_engine.wait_until(lambda: tunnel.birth(process.pid) is None)
    assert tunnel.birth(process.pid) is None


def test_a_program_that_breaks_says_why(tmp_path):
    folder = tmp_path / "f"
    folder.mkdir()
    with pytest.raises(tunnel.TunnelError, match="no program"):
        tunnel.begin(
            "raise SystemExit('no program')",
            folder,
            [tunnel.Door("a")],
            master=[],
            run=os.getpid(),
            timeout=60,
        )
    assert not folder.exists()


def test_a_login_that_never_ends(ssh, run, capsys, left, tmp_path):  # noqa: ARG001
    ssh()
    (tmp_path / "bin/ssh").write_text("#!/bin/sh\nexec sleep 600\n")
    result = run_module(docker_engine_tunnel, capsys, engine="ssh://server", timeout=0.2)
    assert "does not answer" in result["msg"]
    assert left() == []


# Logs in as ssh does, and records what it is asked to forward.
_LOGIN = """
import os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
(folder / "pid").write_text(str(os.getpid()))
(folder / "login").touch()
for line in sys.stdin:
    with (folder / "asked").open("a") as asked:
        asked.write(line)
"""


def test_a_login_is_kept_in_use_and_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(tunnel, "_LOOK_AFTER", 0.0)
    monkeypatch.setattr(tunnel, "_LOOK", 0.01)
    opened = tunnel.Tunnel(tmp_path, [tunnel.Door("door", ("true",))])
    assert opened.log_in([sys.executable, "-c", _LOGIN, str(tmp_path)], 60)
    asked, pid = tmp_path / "asked", tmp_path / "pid"

    def serve_while(holds):
        end = time.monotonic() + 60
        opened.serve(lambda: holds() and time.monotonic() < end)
        assert not holds()

    # More than one request is sent, and each is complete.
    serve_while(lambda: not asked.exists() or asked.read_text().count("Host") < 2)
    requests = asked.read_text().replace("\r", "").split("\n\n")
    assert requests[0].splitlines() == ["GET /_ping HTTP/1.1", "Host: docker"]
    assert requests[1] == requests[0]

    before = pid.read_text()
    os.kill(int(before), signal.SIGKILL)
    serve_while(lambda: pid.read_text() in ("", before))
    opened.close()


def test_short_paths_for_sockets(monkeypatch, tmp_path):
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(tunnel.tempfile, "tempdir", str(long))
    folder = tunnel.make_folder()
    assert len(str(folder)) < 40
    folder.rmdir()


def test_doors_as_they_are_written():
    tls = tunnel.Tls("h", 1, "a", "b", "c")
    for door in (tunnel.Door("x", ("a", "b")), tunnel.Door("y", tls=tls)):
        text = json.dumps(tunnel.asdict(door))
        assert tunnel.read_door(json.loads(text)) == door
