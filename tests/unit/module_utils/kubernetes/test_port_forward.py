"""Ports of pods, through a server that speaks the API server's protocol in all its variants."""

import base64
import contextlib
import gc
import hashlib
import json
import re
import socket
import socketserver
import struct
import threading
import time
import warnings

import pytest
from ansible.module_utils.docker_ml_api.checks.http import (
    Question,
    RequestFailedError,
    UrlsClient,
)
from ansible.module_utils.docker_ml_api.kubernetes import cluster as cluster_access
from ansible.module_utils.docker_ml_api.kubernetes import port_forward
from ansible.module_utils.docker_ml_api.kubernetes.port_forward import PodClient

from support import api_server, connect_proxy, loopback, ports

PORT = 8080
QUESTION = Question("GET", "http://127.0.10.1:80/p?f=1", {"X-Test": "yes"})
GREETING = b"hello"
BINARY, CLOSE, PING = 2, 8, 9
PATIENCE = 5.0


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch):
    """Check that no thread is left; a socket left open causes a warning, which is an error."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + PATIENCE
    while set(threading.enumerate()) - before:
        assert time.monotonic() < end, set(threading.enumerate()) - before
        time.sleep(0.01)


class Pod:
    """The far end of a forwarded port."""

    def __init__(self, connection):
        self.connection = connection

    def read(self, count):
        content = b""
        while len(content) < count:
            some = self.connection.recv(count - len(content))
            if not some:
                raise EOFError
            content += some
        return content

    def frame(self):
        """Return the opcode and the payload of the next frame."""
        first, second = self.read(2)
        length = second & 127
        if length >= 126:
            length = int.from_bytes(self.read(2 if length == 126 else 8), "big")
        mask = self.read(4) if second & 128 else bytes(4)
        content = self.read(length)
        return first & 15, bytes(one ^ mask[n % 4] for n, one in enumerate(content))

    def send(self, channel, content, opcode=BINARY):
        payload = bytes([channel]) + content if opcode == BINARY else content
        if len(payload) < 126:
            header = struct.pack("!BB", 128 | opcode, len(payload))
        elif len(payload) < 65536:
            header = struct.pack("!BBH", 128 | opcode, 126, len(payload))
        else:
            header = struct.pack("!BBQ", 128 | opcode, 127, len(payload))
        self.connection.sendall(header + payload)

    def begin(self):
        """Send the first frame of each channel, which states the port."""
        for channel in (0, 1):
            self.send(channel, struct.pack("<H", PORT))

    def request(self):
        """Read a request; return its head."""
        content = b""
        while not content.endswith(b"\r\n\r\n"):
            _, payload = self.frame()
            assert payload[0] == 0
            content += payload[1:]
        return content.decode()

    def answer(self, body=GREETING):
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self.send(0, head.encode() + body)


class Server:
    """The URL of an API server, and the requests that it received."""

    def __init__(self, port, scheme):
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.heads = []


def read_head(connection):
    head = b""
    while b"\r\n\r\n" not in head:
        some = connection.recv(4096)
        if not some:
            break
        head += some
    return head.decode()


@contextlib.contextmanager
def listening(handle, tls=None):
    """Give each connection to `handle(connection, server)`."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(EOFError, OSError):
                handle(self.request, told)

    class Threads(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def get_request(self):
            connection, address = super().get_request()
            return (tls.wrap_socket(connection, server_side=True) if tls else connection), address

    server = Threads(("127.0.0.1", 0), Handler)
    told = Server(server.server_address[1], "https" if tls else "http")
    with loopback.answering(server):
        yield told


def forwarding(talk, tls=None):
    """A server that forwards a port to `talk(pod)`."""

    def handle(connection, told):
        head = read_head(connection)
        told.heads.append(head)
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        key = fields["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()  # noqa: S324
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n"
            + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        pod = Pod(connection)
        pod.begin()
        talk(pod)

    return listening(handle, tls)


def refusing(status, body):
    def handle(connection, told):
        told.heads.append(read_head(connection))
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)

    return listening(handle)


def client_of(server, user=None, max_bytes=1048576, **cluster):
    source = api_server.kubeconfig(server.url, user, **cluster)
    connected = cluster_access.connect({"kubeconfig": source})
    return PodClient(connected, "default", "web-a", PORT, UrlsClient(max_bytes=max_bytes))


def failure(client, timeout=PATIENCE):
    with pytest.raises(RequestFailedError) as caught:
        client(QUESTION, timeout)
    error = caught.value
    return error.kind, str(error), error.heals


def test_an_answer():
    heads = []

    def talk(pod):
        heads.append(pod.request())
        pod.send(0, b"still alive", opcode=PING)
        pod.answer()

    with forwarding(talk) as server:
        client = client_of(server, {"token": "t0ken"})
        for _ in range(2):
            answer = client(QUESTION, PATIENCE)
    assert (answer.status, answer.body) == (200, GREETING)
    assert answer.seconds > 0
    assert len(heads) == len(server.heads) == 2
    assert heads[0].startswith("GET /p?f=1 HTTP/1.1\r\n")
    assert "\r\nx-test: yes\r\n" in heads[0].lower()
    asked = server.heads[0]
    assert asked.startswith(
        "GET /api/v1/namespaces/default/pods/web-a/portforward?ports=8080 HTTP/1.1\r\n"
    )
    assert "Authorization: Bearer t0ken\r\n" in asked
    assert "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n" in asked
    assert "Origin:" not in asked


def test_a_long_answer_in_pieces():
    body = bytes(range(256)) * 1024

    def talk(pod):
        pod.request()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        pod.send(0, head.encode())
        pod.send(0, b"")
        for start in range(0, len(body), 70000):
            pod.send(0, body[start : start + 70000])
        pod.send(0, b"", opcode=CLOSE)

    with forwarding(talk) as server:
        assert client_of(server)(QUESTION, PATIENCE).body == body


def test_an_answer_that_is_cut():
    """The client closes the connection, which the pod's end may not notice at once."""

    def talk(pod):
        pod.request()
        pod.answer(b"x" * 1_000_000)
        with contextlib.suppress(EOFError, OSError):
            pod.frame()

    with forwarding(talk) as server:
        answer = client_of(server, max_bytes=10)(QUESTION, PATIENCE)
    assert (answer.body, answer.complete) == (b"x" * 10, False)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            b"error forwarding port 8080: dial tcp4 127.0.0.1:8080: connect: connection refused",
            ("nothing_listens", "nothing listens on its port 8080", True),
        ),
        (
            b"error forwarding port: no network namespace\nmore",
            (
                "dropped",
                (
                    "the cluster cannot forward to its port 8080: error forwarding port: no "
                    "network namespace"
                ),
                True,
            ),
        ),
    ],
)
def test_what_the_cluster_says_of_the_port(error, expected):
    def talk(pod):
        pod.request()
        pod.send(1, error)

    with forwarding(talk) as server:
        assert failure(client_of(server)) == expected


@pytest.mark.parametrize("frame", [None, CLOSE])
def test_a_pod_that_drops_the_connection(frame):
    def talk(pod):
        pod.request()
        if frame:
            pod.send(0, b"", opcode=frame)

    with forwarding(talk) as server:
        kind, words, heals = failure(client_of(server))
    assert (kind, heals) == ("dropped", True)
    assert words.startswith("its port 8080 dropped the connection")


def test_a_pod_that_does_not_answer():
    over = threading.Event()

    def talk(pod):
        pod.request()
        over.wait(PATIENCE)

    with forwarding(talk) as server:
        kind, words, heals = failure(client_of(server), 0.3)
        over.set()
    assert (kind, heals) == ("timed_out", True)
    assert words.startswith("no complete answer came within 0.")


def test_a_client_that_never_connects():
    """The port waits for it, but not longer than the client tries."""

    def fail(question, timeout):
        assert question.url.startswith("http://127.0.0.1:")
        assert question.url.endswith("/p?f=1")
        assert 0 < timeout <= PATIENCE
        raise RequestFailedError("invalid", "no such request", heals=False)

    with forwarding(lambda pod: pod.frame()) as server:
        client = client_of(server)
        client._client = fail
        assert failure(client) == ("invalid", "no such request", False)


REFUSALS = [
    (
        403,
        b'{"message": "pods \\"web-a\\" is forbidden"}',
        (
            "forbidden",
            (
                'this login may not forward ports (pods "web-a" is forbidden): ask the cluster\'s '
                "administrator for get and create of pods/portforward in namespace default"
            ),
            False,
        ),
    ),
    (
        401,
        b'{"message": "Unauthorized"}',
        ("forbidden", "the cluster does not accept this login (Unauthorized): renew it", False),
    ),
    (
        404,
        b'{"message": "pods \\"web-a\\" not found"}',
        ("gone", 'it is gone (pods "web-a" not found)', False),
    ),
    (
        500,
        b'{"message": "error dialing backend"}',
        ("unreachable", "the cluster cannot forward to it: error dialing backend", True),
    ),
    (
        503,
        b"no backend\nmore",
        ("unreachable", "the cluster cannot forward to it: no backend", True),
    ),
    (502, b"", ("unreachable", "the cluster cannot forward to it: HTTP status 502", True)),
    (400, b"[]", ("unreachable", "the cluster cannot forward to it: []", True)),
    (
        302,
        b"",
        (
            "unreachable",
            "the cluster cannot be reached to forward a port (Redirect limit exhausted)",
            True,
        ),
    ),
]


@pytest.mark.parametrize(
    ("status", "body", "expected"), REFUSALS, ids=[str(one[0]) for one in REFUSALS]
)
def test_an_api_server_that_does_not_forward(status, body, expected):
    with refusing(status, body) as server:
        assert failure(client_of(server)) == expected


def test_an_api_server_that_is_not_there():
    server = Server(ports.closed(), "http")
    assert failure(client_of(server)) == (
        "unreachable",
        "the cluster cannot be reached to forward a port (Connection refused)",
        True,
    )


def test_an_api_server_that_says_nothing():
    over = threading.Event()
    with listening(lambda *_: over.wait(PATIENCE)) as server:
        expected = "the cluster forwarded no port within 0.2 s"
        assert failure(client_of(server), 0.2) == ("timed_out", expected, True)
        over.set()


def test_an_api_server_that_speaks_something_else():
    with listening(lambda connection, _: connection.sendall(b"SSH-2.0\r\n\r\n")) as server:
        kind, words, heals = failure(client_of(server))
    assert (kind, heals) == ("unreachable", True)
    assert words.startswith("the cluster cannot be reached to forward a port (")


def test_a_login_that_cannot_be_had():
    server = Server(ports.closed(), "http")
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "/nonexistent/plugin"}
    kind, words, heals = failure(client_of(server, {"exec": plugin}))
    assert (kind, heals) == ("forbidden", False)
    assert "/nonexistent/plugin" in words
    assert not words.endswith(".")


def test_a_login_that_expired_early_is_renewed_once(tmp_path):
    user = api_server.plugin_giving(tmp_path, "old", "new", "newer")
    with refusing(401, b"") as server:
        kind, _, heals = failure(client_of(server, user))
    assert (kind, heals) == ("forbidden", False)
    assert [re.search(r"Bearer (\w+)", head)[1] for head in server.heads] == ["old", "new"]


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return api_server.make_certificate(tmp_path_factory.mktemp("tls"), "cluster")


def trusting(certificate):
    content = base64.b64encode(certificate.certificate.read_bytes()).decode()
    return {"certificate_authority_data": content}


def test_tls(certificate):
    """One TLS record may contain several frames, after which the socket has no more data."""

    def talk(pod):
        pod.request()
        sent = []
        plain = pod.connection
        pod.connection = type("Gathered", (), {"sendall": lambda _, some: sent.append(some)})()
        pod.send(0, b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n")
        pod.send(0, b"more")
        pod.send(0, b" and more")
        plain.sendall(b"".join(sent))
        with contextlib.suppress(EOFError, OSError):
            Pod(plain).frame()

    with forwarding(talk, certificate.server()) as server:
        answer = client_of(server, **trusting(certificate))(QUESTION, PATIENCE)
    assert answer.body == b"more and more"


def test_tls_of_another_name(tmp_path):
    other = api_server.make_certificate(tmp_path, "other", "192.0.2.1")
    with forwarding(Pod.answer, other.server()) as server:
        kind, words, _ = failure(client_of(server, **trusting(other)))
        assert kind == "unreachable"
        assert "certificate is not valid for '127.0.0.1'" in words
        client = client_of(server, **trusting(other), tls_server_name="192.0.2.1")
        assert client(QUESTION, PATIENCE).body == GREETING


# Proxies


@contextlib.contextmanager
def proxy(status=200):
    """A proxy that connects to the requested host."""

    def handle(connection, told):
        head = read_head(connection)
        told.heads.append(head)
        connection.sendall(f"HTTP/1.1 {status} X\r\n\r\n".encode())
        host, _, port = head.split()[1].rpartition(":")
        with socket.create_connection((host, int(port))) as there:
            connect_proxy.relay(connection, there)

    with listening(handle) as server:
        yield server


@pytest.mark.parametrize(
    ("login", "header"),
    [
        ("", ""),
        ("tom:p%40ss@", f"Proxy-Authorization: Basic {base64.b64encode(b'tom:p@ss').decode()}"),
        ("tom@", f"Proxy-Authorization: Basic {base64.b64encode(b'tom:').decode()}"),
    ],
)
def test_a_proxy_of_the_kubeconfig(login, header):
    def talk(pod):
        pod.request()
        pod.answer()

    with forwarding(talk) as server, proxy() as between:
        url = between.url.replace("http://", f"http://{login}")
        assert client_of(server, proxy_url=url)(QUESTION, PATIENCE).body == GREETING
    (head,) = between.heads
    assert head.startswith(f"CONNECT {server.url.removeprefix('http://')} HTTP/1.")
    assert header in head
    assert ("Proxy-Authorization" in head) is bool(header)


def test_a_proxy_that_refuses():
    with proxy(407) as between, warnings.catch_warnings():
        # http.client of Python 3.11.2 does not close such a proxy's response.
        warnings.simplefilter("ignore", ResourceWarning)
        kind, words, _ = failure(client_of(Server(ports.closed(), "http"), proxy_url=between.url))
        gc.collect()
    assert kind == "unreachable"
    assert "407" in words


def test_a_proxy_of_another_kind():
    server = Server(ports.closed(), "http")
    kind, words, _ = failure(client_of(server, proxy_url="https://127.0.0.1:1"))
    assert kind == "unreachable"
    assert "ports are forwarded by http proxies only, not by https" in words


def test_the_environments_proxy_is_none_for_a_loopback_server(monkeypatch):
    dead = f"http://127.0.0.1:{ports.closed()}"
    for name in ("http_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, dead)

    def talk(pod):
        pod.request()
        pod.answer()

    with forwarding(talk) as server:
        assert client_of(server)(QUESTION, PATIENCE).body == GREETING


def test_a_port_nobody_connects_to(monkeypatch):
    """The forwarder ends by itself and closes its stream."""
    monkeypatch.setattr(port_forward, "_GRACE", 0.05)
    with forwarding(lambda pod: pod.frame()) as server:
        connected = cluster_access.connect({"kubeconfig": api_server.kubeconfig(server.url)})
        stream = port_forward.open_stream(connected, "default", "web-a", PORT, PATIENCE)
        with port_forward.Forwarder(stream, 0.05) as forwarder:
            forwarder._thread.join(PATIENCE)
            assert not forwarder._thread.is_alive()
    assert forwarder.error == ""
    assert stream.sock is None


def test_the_words_of_a_refusal_may_be_text_already():
    error = port_forward.explain_refusal(404, json.dumps({"message": "no"}), "default")
    assert str(error) == "it is gone (no)"
    assert str(port_forward.explain_refusal(500, None, "default")).endswith("HTTP status 500")


def test_a_broken_stream():
    """The data is not a frame: the client sees a dropped connection."""

    def talk(pod):
        pod.request()
        pod.connection.sendall(b"\xff\xff\xff\xff")

    with forwarding(talk) as server:
        kind, words, _ = failure(client_of(server))
    assert kind == "dropped"
    assert "its port 8080" in words
