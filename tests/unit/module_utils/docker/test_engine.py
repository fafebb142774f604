"""docker_engine: with client scripts that are executed and sockets that are served."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socketserver
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

import pytest
from ansible.module_utils.docker_ml_api.docker import engine as docker_engine

from support import loopback

if TYPE_CHECKING:
    from pathlib import Path

SERVER = {"Version": "20.10.24", "Os": "linux"}
BUILDX = {"Name": "buildx", "Version": "v0.13"}


def write_client(path: Path, version: object, info: object, err: str = "", rc: int = 0) -> str:
    """A client that answers `version` and `info` as the real one does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "#!/bin/sh\n"
        f"case $1 in version) cat <<'END'\n{json.dumps(version)}\nEND\n;;"
        f" info) cat <<'END'\n{json.dumps(info)}\nEND\n;; esac\n"
        f"printf '%s' '{err}' >&2\nexit {rc}\n"
    )
    path.chmod(0o755)
    return str(path)


def client(
    folder: Path, number: str, plugins: list[object], server: object = SERVER, **more
) -> str:
    return write_client(
        folder / "docker",
        {"Client": {"Version": number}, "Server": server},
        {"ClientInfo": {"Plugins": plugins}, "DockerRootDir": str(folder) if server else ""},
        **more,
    )


@pytest.mark.parametrize(
    ("number", "plugins", "expected"),
    [
        ("20.10.24+dfsg1", [], True),
        ("19.03.15", [], True),
        ("28.2.2", [], False),
        ("28.2.2", [BUILDX], True),
        ("28.2.2", [{"Name": "compose"}], False),
        ("28.2.2", [{**BUILDX, "Err": "exec format error"}], False),
        # Podman's docker command.
        ("4.3.1", [], False),
        ("", [], False),
    ],
)
def test_can_build(number, plugins, expected):
    assert docker_engine.can_build(number, plugins) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("docker: no such host.\nSee 'docker run --help'.\n", "no such host."),
        ("WARNING: x\nCannot connect. Is it running?\n", "Cannot connect. Is it running?"),
        ("error: permission denied", "permission denied."),
    ],
)
def test_sentence(text, expected):
    assert docker_engine.sentence(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', {"a": 1}),
        ('WARNING: old\n{"a": 1}\n', {"a": 1}),
        ("{broken\n", {}),
        ("[1]", {}),
        ("", {}),
    ],
)
def test_parse_json(text, expected):
    assert docker_engine.parse_json(text) == expected


@pytest.mark.parametrize(
    ("docker_host", "expected"),
    [
        ("", "/var/run/docker.sock"),
        ("unix:///run/user/1000/docker.sock", "/run/user/1000/docker.sock"),
        ("tcp://192.0.2.1:2376", ""),
        ("ssh://somewhere", ""),
    ],
)
def test_socket_of(docker_host, expected):
    assert docker_engine.socket_of(docker_host) == expected


def test_clients_are_found_once_each_and_in_order(tmp_path):
    first = client(tmp_path / "a", "1", [])
    second = client(tmp_path / "b", "2", [])
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "docker").write_text("not executable")
    path = os.pathsep.join(str(tmp_path / name) for name in ("b", "a", "link", "c", "absent"))
    assert docker_engine.find_clients(path, [first, "/nowhere/docker"]) == [second, first]


def inspect(tmp_path: Path, *clients: str, timeout: float = 10, **environ: str):
    environ = {"PATH": "", "DOCKER_HOST": f"unix://{tmp_path}/none.sock", **environ}
    return docker_engine.inspect(list(clients), timeout, str(tmp_path / "data"), environ)


def test_the_client_that_builds_is_taken(tmp_path):
    newer = client(tmp_path / "a", "28.2.2", [])
    older = client(tmp_path / "b", "20.10.24", [])
    engine = inspect(tmp_path, newer, older)
    assert engine["cli"] == older
    assert engine["buildkit"]
    assert engine["answers"]
    assert engine["server_version"] == "20.10.24"
    assert engine["os"] == "linux"
    assert engine["data_root"] == str(tmp_path / "b")
    assert engine["error"] == ""


def test_a_client_that_reaches_the_engine_is_better_than_one_that_builds(tmp_path):
    deaf = client(tmp_path / "a", "20.10.24", [], None, err="client version is too old", rc=1)
    plain = client(tmp_path / "b", "28.2.2", [])
    engine = inspect(tmp_path, deaf, plain)
    assert (engine["cli"], engine["answers"], engine["buildkit"]) == (plain, True, False)


@pytest.mark.parametrize(
    ("err", "denied"),
    [
        ("Cannot connect to the Docker daemon. Is the docker daemon running?", False),
        ("Got permission denied while trying to connect to the socket.", True),
    ],
)
def test_no_engine(tmp_path, err, denied):
    engine = inspect(tmp_path, client(tmp_path / "a", "20.10.24", [], None, err=err, rc=1))
    assert not engine["answers"]
    assert engine["error"] == err
    assert engine["permission_denied"] is denied
    assert engine["buildkit"]
    assert engine["data_root"] == str(tmp_path / "data")
    # The disk that the folder would be on.
    assert engine["data_root_free_mb"] > 0


def test_a_client_that_says_nothing(tmp_path):
    path = write_client(tmp_path / "docker", "silence", "")
    engine = inspect(tmp_path, path)
    assert engine["error"] == f"{path} version says nothing of an engine."
    assert not engine["buildkit"]


def test_a_client_that_hangs(tmp_path):
    path = tmp_path / "docker"
    path.write_text("#!/bin/sh\nexec sleep 60\n")
    path.chmod(0o755)
    engine = inspect(tmp_path, str(path), timeout=0.2)
    assert engine["error"] == f"{path} did not answer within 0.2 seconds."


def test_a_client_that_cannot_run(tmp_path):
    path = tmp_path / "docker"
    path.write_bytes(b"\x7fELF nonsense")
    path.chmod(0o755)
    assert "cannot be run" in inspect(tmp_path, str(path))["error"]


def test_a_remote_engine_has_no_disk_here(tmp_path):
    engine = inspect(tmp_path, client(tmp_path, "20.10.24", []), DOCKER_HOST="tcp://192.0.2.1:1")
    assert engine["local"] is False
    assert engine["data_root_free_mb"] is None


def test_no_client_and_a_remote_engine(tmp_path):
    engine = inspect(tmp_path, DOCKER_HOST="tcp://192.0.2.1:1")
    assert engine["error"] == "There is no docker command on this host to ask tcp://192.0.2.1:1."


class _Engine(BaseHTTPRequestHandler):
    answers: dict[str, object] = {}  # noqa: RUF012 - a subclass for each test

    def do_GET(self):
        body = json.dumps(self.answers.get(self.path, {})).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "socket"

    def log_message(self, *_):
        pass


@pytest.fixture
def serve(tmp_path):
    """Return a function that serves answers at a Unix socket and returns its DOCKER_HOST."""
    paths = (tmp_path / f"engine{number}.sock" for number in itertools.count())

    def start(answers):
        handler = type("Handler", (_Engine,), {"answers": answers})
        path = next(paths)
        server = socketserver.UnixStreamServer(str(path), handler)
        servers.enter_context(loopback.answering(server))
        return f"unix://{path}"

    with contextlib.ExitStack() as servers:
        yield start


def test_an_engine_without_a_client_is_an_engine(tmp_path, serve):
    docker_host = serve({"/version": SERVER, "/info": {"DockerRootDir": str(tmp_path)}})
    engine = inspect(tmp_path, DOCKER_HOST=docker_host)
    assert (engine["cli"], engine["answers"], engine["buildkit"]) == ("", True, False)
    assert engine["server_version"] == "20.10.24"
    assert engine["data_root"] == str(tmp_path)


def test_something_else_at_the_socket(tmp_path, serve):
    engine = inspect(tmp_path, DOCKER_HOST=serve({}))
    assert not engine["answers"]
    assert "is no Docker engine's socket" in engine["error"]


def test_neither_client_nor_socket(tmp_path):
    engine = inspect(tmp_path)
    assert not engine["answers"]
    assert engine["error"].startswith("There is no docker command on this host, and /")
    assert "No such file" in engine["error"]


def test_clients_of_the_path_are_asked_by_default(tmp_path):
    path = client(tmp_path / "bin", "28.2.2", [BUILDX])
    environ = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    assert docker_engine.inspect(None, 10, "/var/lib/docker", environ)["cli"] == path


@pytest.mark.parametrize(
    ("folders", "files", "expected"),
    [
        (["run/systemd/system"], {}, "systemd"),
        ([], {"run/openrc/softlevel": "default"}, "openrc"),
        (["etc/init.d"], {"usr/sbin/service": "", "proc/1/comm": "init\n"}, "sysvinit"),
        # A container with the files of an init, and another first process.
        (["etc/init.d"], {"usr/sbin/service": "", "proc/1/comm": "sleep\n"}, "none"),
        (["etc/init.d"], {"proc/1/comm": "init\n"}, "none"),
        ([], {}, "none"),
    ],
)
def test_service_manager(tmp_path, folders, files, expected):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert docker_engine.service_manager(str(tmp_path)) == expected


def test_find_engine(tmp_path):
    (tmp_path / "dockerd").write_text("#!/bin/sh\n")
    (tmp_path / "dockerd").chmod(0o755)
    assert docker_engine.find_engine(str(tmp_path)) == str(tmp_path / "dockerd")


def test_free_mb_of_what_cannot_be_asked(monkeypatch):
    def refuse(_):
        raise PermissionError

    monkeypatch.setattr(os, "statvfs", refuse)
    assert docker_engine.free_mb("/var/lib/docker") is None


class Clock:
    """A clock that advances only by sleep."""

    def __init__(self):
        self.now = 100.0
        self.slept = []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(
    ("seconds", "answers_after", "expected", "sleeps"),
    [(0, 0, True, 0), (0, 1, False, 0), (5, 3, True, 3), (5, 99, False, 5)],
)
def test_wait_for(seconds, answers_after, expected, sleeps):
    clock = Clock()

    def ask():
        return {"answers": len(clock.slept) >= answers_after}

    engine = docker_engine.wait_for(ask, seconds, lambda: clock.now, clock.sleep)
    assert engine["answers"] is expected
    assert len(clock.slept) == sleeps
