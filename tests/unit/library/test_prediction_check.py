"""The module against real servers on loopback addresses."""

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import prediction_check
import pytest
import yaml
from ansible.module_utils import urls
from ansible.module_utils.docker_ml_api.checks.http import Question
from ansible.module_utils.docker_ml_api.checks.options import CHECK_OPTIONS

from doc_fragments import prediction_check as fragment
from support import ROOT, ports
from support.run_module import run_module

# Far longer than any answer here takes: only a hang reaches it.
PATIENCE = 30


def response(body=b"[199.6]", status="200 OK", content_type="text/plain", extra=b"", length=None):
    """The bytes of an HTTP response."""
    size = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {size}\r\n"
    return head.encode() + extra + b"Connection: close\r\n\r\n" + body


class Server:
    """Answers each connection with the next of its scripts; the last one is repeated.

    A script is the bytes to send after the request was read, or a function of the
    connection and the request's bytes.
    """

    def __init__(self, *scripts, tls=None, port=0):
        self.scripts = list(scripts)
        self.requests = []
        self.ended = threading.Event()
        self.tls = tls
        self.socket = socket.create_server(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self):
        while True:
            connection, _ = self.socket.accept()
            if self.ended.is_set():
                connection.close()
                return
            script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
            thread = threading.Thread(target=self.serve, args=(connection, script))
            self.threads.append(thread)
            thread.start()

    def serve(self, connection, script):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(connection.close)
            connection.settimeout(PATIENCE)
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
                stack.callback(connection.close)
            request = b""
            while b"\r\n\r\n" not in request:
                chunk = connection.recv(65536)
                if not chunk:
                    return
                request += chunk
            head, _, body = request.partition(b"\r\n\r\n")
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    while len(body) < int(line.partition(b":")[2]):
                        body += connection.recv(65536)
            self.requests.append(head + b"\r\n\r\n" + body)
            if callable(script):
                script(self, connection)
            else:
                connection.sendall(script)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        socket.create_connection(("127.0.0.1", self.port), PATIENCE).close()
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        self.socket.close()


def silent(server, _connection):
    """Never answers; ends with the test."""
    server.ended.wait(PATIENCE)


def dripping(head):
    """Sends a byte now and then, so that no packet is late, but never an answer."""

    def drip(server, connection):
        connection.sendall(head)
        while not server.ended.wait(0.02):
            connection.sendall(b"x")

    return drip


def dropping(_server, _connection):
    """Closes the connection without an answer."""


def resetting(_server, connection):
    """Resets the connection."""
    linger_zero = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)


@pytest.fixture
def run(capsys, monkeypatch):
    """Return a function that runs the module in this process and returns its result."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")

    def run_check(url, *checks, check_mode=False, **options):
        args = {"url": url, "checks": list(checks), "retry_delay": 0.001, **options}
        result = run_module(prediction_check, capsys, _ansible_check_mode=check_mode, **args)
        assert not result.get("changed")
        result.setdefault("failed", False)
        return result

    return run_check


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Path of a PEM file: a self-signed certificate for 127.0.0.1 with its key."""
    openssl = shutil.which("openssl")
    assert openssl, "these tests need the openssl command"
    folder = tmp_path_factory.mktemp("tls")
    key, cert, both = folder / "key.pem", folder / "cert.pem", folder / "both.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run(
        [openssl, "req", "-x509", *curve, *name, "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )
    both.write_text(key.read_text() + cert.read_text())
    return cert, both


@pytest.fixture
def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[1])
    return context


NUMBERS = {"path": "/prediction/?f=0.05", "expected": [199.6], "tolerance": 0.1}


def test_a_right_answer(run):
    with Server(response(b"[199.60306236]\n")) as server:
        result = run(server.url, NUMBERS, {"path": "/isAlive", "content_type": "text/plain"})
    assert not result["failed"]
    assert result["msg"] == "2 of 2 checks passed"
    first, second = result["checks"]
    assert first["url"] == server.url + "/prediction/?f=0.05"
    assert (first["status"], first["value"]) == (200, [199.60306236])
    assert (first["content_type"], first["body"]) == ("text/plain", "[199.60306236]\n")
    assert 0 < first["latencies"]["min"] <= first["latencies"]["max"]
    assert second["url"] == server.url + "/isAlive"
    assert server.requests[0].startswith(b"GET /prediction/?f=0.05 HTTP/1.1\r\n")
    assert len(server.requests) == 2


def test_check_mode_asks_too(run):
    with Server(response(b"[150.]")) as server:
        result = run(server.url, NUMBERS, check_mode=True)
    assert result["failed"]
    assert result["msg"] == (
        f"{server.url}/prediction/?f=0.05: answered [150.0], expected [199.6] ± 0.1 "
        "(at [0]: 150.0 is not 199.6)"
    )


def test_post_sends_the_body(run):
    with Server(response(b'{"prediction": [199.6]}', content_type="application/json")) as server:
        result = run(
            server.url,
            {
                "path": "/prediction/",
                "query": {"v": 1},
                "body": {"f": [0.05]},
                "content_type": "application/json",
                "expected": {"prediction": [199.6]},
            },
            headers={"X-Team": "data"},
        )
    assert not result["failed"]
    (request,) = server.requests
    assert request.startswith(b"POST /prediction/?v=1 HTTP/1.1\r\n")
    assert request.endswith(b'\r\n\r\n{"f": [0.05]}')
    assert b"\r\nx-team: data\r\n" in request.lower()
    assert b"\r\ncontent-type: application/json\r\n" in request.lower()


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\n[199\r\n3\r\n.6]\r\n0\r\n\r\n"
)
NO_LENGTH = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n[199.6]"
CUT_CHUNK = CHUNKED[: CHUNKED.index(b"3\r\n.6]")]


@pytest.mark.parametrize("script", [CHUNKED, NO_LENGTH])
def test_forms_of_a_body(run, script):
    with Server(script) as server:
        assert run(server.url, NUMBERS)["msg"] == "1 of 1 checks passed"


@pytest.mark.parametrize(
    ("scripts", "healed"),
    [
        ([response(b"starting", "503 Service Unavailable")] * 2, "503 Service Unavailable"),
        ([response(b"", "502 Bad Gateway")], "502 Bad Gateway"),
        ([response(b"", "429 Too Many Requests", extra=b"Retry-After: 0\r\n")], "429 Too Many"),
        ([dropping], "dropped the connection"),
        ([resetting], "dropped the connection"),
        ([response(b"[199", length=7)], "dropped the connection before its answer ended"),
        ([CUT_CHUNK], "dropped the connection before its answer ended"),
    ],
)
def test_failures_that_heal(run, scripts, healed):
    with Server(*scripts, response()) as server:
        result = run(server.url, NUMBERS)
    (check,) = result["checks"]
    assert not result["failed"]
    assert check["attempts"] == len(scripts) + 1 == len(server.requests)
    assert len(check["healed"]) == 1
    assert healed in check["healed"][0]


@pytest.mark.parametrize(
    ("script", "kind", "says"),
    [
        (
            response(b"Traceback\n", "500 Internal Server Error"),
            "status",
            "answered 500 Internal Server Error: Traceback",
        ),
        (response(b"", "404 Not Found"), "status", "answered 404 Not Found without a body"),
        (
            response(b"", "302 Found", extra=b"Location: http://127.0.0.1:1/x\r\n"),
            "status",
            "answered 302 Found to http://127.0.0.1:1/x (redirects are not followed)",
        ),
        (response(b"Hello"), "value", 'answered "Hello", expected [199.6] ± 0.1'),
        (response(b"x" * 2000), "too_large", "more than the 1000 bytes that max_bytes allows"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not_http", "does not answer in HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: " + b"x" * 70000, "not_http", "does not answer in HTTP"),
    ],
)
def test_failures_that_do_not_heal(run, script, kind, says):
    with Server(script) as server:
        result = run(server.url, NUMBERS, max_bytes=1000)
    (check,) = result["checks"]
    assert result["failed"]
    assert (check["kind"], check["attempts"], len(server.requests)) == (kind, 1, 1)
    assert says in result["msg"]
    assert len(check["body"] or "") <= 500


def test_a_huge_body_is_not_read_to_its_end(run):
    def endless(server, connection):
        connection.sendall(response(b"", length=10**12))
        while not server.ended.is_set():
            connection.sendall(b"0" * 65536)

    with Server(endless) as server:
        assert run(server.url, NUMBERS)["checks"][0]["kind"] == "too_large"


@pytest.mark.parametrize(
    "script",
    [
        silent,
        dripping(b""),
        dripping(b"HTTP/1.1 200 OK\r\nX-Slow: "),
        dripping(response(b"", length=10**9)),
    ],
    ids=["silent", "slow status line", "slow headers", "slow body"],
)
def test_no_request_outlasts_its_timeout(run, script):
    with Server(script) as server:
        result = run(server.url, NUMBERS, timeout=0.5, retries=0)
    assert result["checks"][0]["kind"] == "timed_out"
    assert "no complete answer came within 0.5 s" in result["msg"]


def test_a_timeout_heals(run):
    with Server(silent, response()) as server:
        result = run(server.url, NUMBERS, timeout=0.2)
    assert result["checks"][0]["healed"][0].startswith("no complete answer came within 0.2 s")
    assert not result["failed"]


def test_a_connection_that_is_not_taken(run):
    # A full queue of connections: the next one is not answered by the kernel.
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        port = listener.getsockname()[1]
        result = run(f"http://127.0.0.1:{port}", NUMBERS, timeout=0.2, retries=0)
    assert result["msg"].endswith(f"127.0.0.1:{port} took no connection within 0.2 s")


def test_nothing_listens(run):
    port = ports.closed()
    result = run(f"http://127.0.0.1:{port}", NUMBERS, {"path": "/isAlive"}, retries=2)
    first, second = result["checks"]
    assert (first["kind"], second["kind"]) == ("nothing_listens", "not_asked")
    assert (first["attempts"], first["status"]) == (3, None)
    assert f"nothing listens at 127.0.0.1:{port} (tried 3 times" in result["msg"]


def test_a_service_that_starts_late(run, monkeypatch):
    port = ports.free()
    with contextlib.ExitStack() as started:

        class Clock(prediction_check.SystemClock):
            def sleep(self, _seconds):
                started.enter_context(Server(response(), port=port))

        monkeypatch.setattr(prediction_check, "SystemClock", Clock)
        result = run(f"http://127.0.0.1:{port}", NUMBERS)
    (check,) = result["checks"]
    assert check["healed"] == [f"nothing listens at 127.0.0.1:{port} (once)"]
    assert (check["attempts"], check["problems"]) == (2, [])


def test_unknown_name(run):
    result = run("http://no-such-host.invalid", NUMBERS, use_proxy=False, retries=0)
    (check,) = result["checks"]
    assert result["failed"]
    assert check["kind"] == "name_unknown"
    assert "the name of no-such-host.invalid:80" in result["msg"]


def test_samples(run):
    with Server(response()) as server:
        result = run(server.url, {**NUMBERS, "samples": 5, "latency_p99": 1e6}, {}, samples=2)
    assert [check["samples"] for check in result["checks"]] == [5, 2]
    assert len(server.requests) == 7
    assert not result["failed"]


def test_a_latency_holds_no_certificates_being_read(run, monkeypatch):
    def read_certificates(**_):
        pytest.fail("a TLS context was built for a request without TLS")

    monkeypatch.setattr(urls, "make_context", read_certificates)
    with Server(response()) as server:
        assert not run(server.url, NUMBERS)["failed"]


def test_latency_bound(run):
    with Server(response()) as server:
        result = run(server.url, {**NUMBERS, "latency_p50": 1e-6})
    assert result["checks"][0]["kind"] == "latency"
    assert "answered too slowly: p50 of 1 samples is" in result["msg"]


# TLS


def test_tls_with_the_right_certificate(run, tls, certificate):
    with Server(response(), tls=tls) as server:
        result = run(server.url, {**NUMBERS, "samples": 2}, ca_path=str(certificate[0]))
    assert result["msg"] == "1 of 1 checks passed"


def test_tls_with_an_unknown_certificate(run, tls):
    with Server(response(), tls=tls) as server:
        result = run(server.url, NUMBERS)
        trusting = run(server.url, NUMBERS, validate_certs=False)
    (check,) = result["checks"]
    assert (check["kind"], check["attempts"], server.requests != []) == ("certificate", 1, True)
    assert f"the certificate of 127.0.0.1:{server.port} is refused: self" in result["msg"]
    assert not trusting["failed"]


def test_tls_where_there_is_none(run):
    listener = socket.create_server(("127.0.0.1", 0))

    def answer_in_plain_text():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(response())

    thread = threading.Thread(target=answer_in_plain_text)
    thread.start()
    result = run(f"https://127.0.0.1:{listener.getsockname()[1]}", NUMBERS)
    thread.join(PATIENCE)
    listener.close()
    (check,) = result["checks"]
    assert (check["kind"], check["attempts"]) == ("tls", 1)
    assert "does not speak TLS as expected" in result["msg"]


def test_tls_that_is_dropped(run):
    listener = socket.create_server(("127.0.0.1", 0))

    def drop():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)

    thread = threading.Thread(target=drop)
    thread.start()
    result = run(f"https://127.0.0.1:{listener.getsockname()[1]}", NUMBERS, retries=0)
    thread.join(PATIENCE)
    listener.close()
    assert result["checks"][0]["kind"] == "dropped"


def test_ca_path_that_is_missing(run, tmp_path):
    result = run("https://127.0.0.1:1", NUMBERS, ca_path=str(tmp_path / "none.pem"))
    (check,) = result["checks"]
    assert (check["kind"], check["attempts"]) == ("certificate", 1)
    assert "none.pem cannot be read" in result["msg"]


# Proxies


def test_a_proxy_is_asked_for_other_machines_only(run, monkeypatch):
    with Server(response()) as proxy, Server(response(b"[1]")) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        near = run(server.url, {"expected": [1]})
        localhost = run(server.url.replace("127.0.0.1", "localhost"), {"expected": [1]})
        far = run("http://model.invalid", NUMBERS)
        without = run("http://model.invalid", NUMBERS, use_proxy=False, retries=0)
        monkeypatch.setenv("no_proxy", "model.invalid")
        bypassed = run("http://model.invalid", NUMBERS, retries=0)
    assert [near["failed"], localhost["failed"], far["failed"]] == [False, False, False]
    assert [request.split()[1] for request in proxy.requests] == [
        b"http://model.invalid/prediction/?f=0.05"
    ]
    assert without["checks"][0]["kind"] == bypassed["checks"][0]["kind"] == "name_unknown"


def test_a_proxy_that_is_down_is_named(run, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{ports.closed()}")
    result = run("http://model.invalid", NUMBERS, retries=0)
    assert "nothing listens at model.invalid:80 (through the environment's proxy)" in result["msg"]


# Options


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"url": "127.0.0.1:9000"}, "url must be http://HOST"),
        ({"checks": [{"path": "isAlive"}]}, "path must begin with a slash"),
        ({"checks": [{"expected": 1, "expected_text": "1"}]}, "mutually exclusive"),
        ({"checks": [{"match": "x"}]}, "match. Supported parameters include"),
        ({"checks": [{"method": "PUT"}]}, "must be one of: GET, POST"),
        ({"deadline": 0}, "deadline must be above 0 s"),
        ({"samples": 0}, "samples must be 1 or more"),
    ],
)
def test_wrong_options(run, options, says):
    given = {"url": "http://127.0.0.1:1", "checks": [{}], **options}
    result = run(given.pop("url"), *given.pop("checks"), **given)
    assert result["failed"]
    assert says in result["msg"]
    assert "checks" not in result


def test_a_header_that_cannot_be_sent(run):
    with Server(response()) as server:
        result = run(server.url, NUMBERS, headers={"X-Bad": "a\r\nb"})
    assert result["checks"][0]["kind"] == "invalid"
    assert "the request cannot be sent" in result["msg"]


# Documentation


def test_the_documentation_states_the_options():
    documented = yaml.safe_load(prediction_check.DOCUMENTATION)["options"]
    documented |= yaml.safe_load(fragment.ModuleDocFragment.DOCUMENTATION)["options"]

    def check(stated, options):
        assert list(stated) == list(options)
        for name, option in options.items():
            text = dict(stated[name])
            assert text.pop("description")
            suboptions = text.pop("suboptions", {})
            rest = {key: option[key] for key in option if key in {"type", "elements"}}
            rest |= {
                key: option[key] for key in ("required", "choices", "default") if key in option
            }
            assert text == rest, name
            check(suboptions, option.get("options", {}))

    check(documented, prediction_check.OPTIONS)


def test_what_is_returned_is_documented(run):
    documented = yaml.safe_load(prediction_check.RETURN)
    with Server(response()) as server:
        result = run(server.url, NUMBERS)
    assert set(documented) == set(result) - {"changed", "failed", "invocation"}
    contains = documented["checks"]["contains"]
    assert set(contains) == set(result["checks"][0])
    assert set(contains["latencies"]["contains"]) == set(result["checks"][0]["latencies"])


def test_the_examples_are_tasks():
    for task in yaml.safe_load(prediction_check.EXAMPLES):
        (options,) = [value for key, value in task.items() if key == "prediction_check"]
        assert set(options) <= set(prediction_check.OPTIONS)
        for check in options["checks"]:
            assert set(check) <= set(CHECK_OPTIONS)


def test_ansible_doc_shows_it():
    shown = subprocess.run(
        [Path(sys.executable).with_name("ansible-doc"), "-t", "module", "prediction_check"],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "RETURN VALUES" in shown.stdout
    assert "latency_p99" in shown.stdout
    assert shown.stderr == ""


def test_by_a_socket_that_leads_there(tmp_path, monkeypatch):
    # A host that is not this machine would require the proxy.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    # Ansible installs the opener for the socket for all requests of the process.
    monkeypatch.setattr(urllib.request, "_opener", None)
    path = tmp_path / "door"
    with Server(response()) as server, socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        door.listen()

        def lead():
            near, _ = door.accept()
            with near, socket.create_connection(("127.0.0.1", server.port)) as far:
                far.sendall(near.recv(65536))
                while answer := far.recv(65536):
                    near.sendall(answer)

        thread = threading.Thread(target=lead)
        thread.start()
        client = prediction_check.make_client(
            {"max_bytes": 100, "use_proxy": True, "validate_certs": True, "ca_path": None},
            str(path),
        )
        answer = client(Question("GET", "http://elsewhere.example:9000/x"), PATIENCE)
        thread.join()
    assert answer.body == b"[199.6]"
    assert b"Host: elsewhere.example:9000" in server.requests[0]
