"""The state of a component, according to its own response."""

import contextlib
import http.server
import socket
import ssl

import pytest

from rehearsal.kubernetes import certificates, components
from rehearsal.kubernetes.certificates import Subject
from support import loopback, ports


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(self.path[1:]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    def start(context=None):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        servers.enter_context(loopback.answering(server))
        return server.server_port

    with contextlib.ExitStack() as servers:
        yield start


@pytest.mark.parametrize(
    ("status", "wanted", "problem"),
    [(200, 200, None), (401, 401, None), (500, 200, "answers 500"), (200, 401, "answers 200")],
)
def test_status(serve, status, wanted, problem):
    said = components._answers(f"http://127.0.0.1:{serve()}/{status}", status=wanted)
    assert said is None if problem is None else said.endswith(problem)


def test_nobody_listens():
    said = components._answers(f"http://127.0.0.1:{ports.closed()}/")
    assert "does not answer: [Errno 111] Connection refused" in said


@pytest.fixture
def folder(tmp_path):
    certificates.write(tmp_path)
    return tmp_path


def server_context(folder, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    context.load_verify_locations(folder / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_certificates_of_the_cluster_are_trusted_both_ways(serve, folder):
    port = serve(server_context(folder, "api-server"))
    check = components._Https(folder).check(f"127.0.0.1:{port}/200")
    assert check() is None
    assert check() is None


def test_other_certificates_are_not(serve, folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    authority = certificates.make_authority("other")
    pair = certificates.sign(authority, Subject("x", hosts=("localhost",)))
    (other / "x.crt").write_bytes(pair.certificate)
    (other / "x.key").write_bytes(pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(other / "x.crt", other / "x.key")
    said = components._Https(folder).check(f"localhost:{serve(context)}/200")()
    assert "CERTIFICATE_VERIFY_FAILED" in said


def test_unix_socket(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path has at most 107 characters
    path = tmp_path.__class__("socket")
    assert components._connects(path) == "socket does not answer: No such file or directory"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert components._connects(path) is None
    assert components._connects(path) == "socket does not answer: Connection refused"
