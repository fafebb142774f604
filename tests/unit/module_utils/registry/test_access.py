import contextlib
import datetime as dt
import http.server
import ipaddress
import json
import ssl
import urllib.parse

import pytest
from ansible.module_utils.docker_ml_api.registry import access
from ansible.module_utils.docker_ml_api.registry.access import Credentials, RegistryError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support import loopback, ports, real_registry

GOOD = Credentials(real_registry.USERNAME, real_registry.PASSWORD)
BAD = Credentials(real_registry.USERNAME, "wrong")


def check(host, credentials=None, known_elsewhere=False):
    return access.check_access(
        f"{host}/team", credentials, known_elsewhere=known_elsewhere, timeout=5
    )


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    with real_registry.running(tmp_path_factory.mktemp("private")) as running:
        yield running


@contextlib.contextmanager
def serving(answer, tls=None):
    """Serve HTTP on a loopback port; answer(path, headers) → (status, headers)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers = answer(self.path, self.headers)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(json.dumps({}).encode())

        def log_message(self, *_):
            """Log nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    with loopback.answering(server):
        yield f"127.0.0.1:{server.server_address[1]}"


@pytest.fixture(scope="module")
def own_certificate(tmp_path_factory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return path, context


def test_the_right_password(private):
    assert check(private.host, GOOD) == "accepted"


def test_a_wrong_password(private):
    with pytest.raises(RegistryError, match=r"refuses the password of tom: .*_password\.$"):
        check(private.host, BAD)


def test_no_password(private):
    with pytest.raises(RegistryError, match=r"wants a login: set image_registry_username and"):
        check(private.host)


def test_a_login_that_the_docker_client_stores(private):
    assert check(private.host, known_elsewhere=True) == "stored"


def test_neither_netrc_nor_proxies_decide(private, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login {GOOD.username} password {GOOD.password}")
    monkeypatch.setenv("NETRC", str(netrc))
    with pytest.raises(RegistryError, match="wants a login"):
        check(private.host)


def noting(asked, respond):
    """Answer with `respond`, and record each request's path and credentials."""

    def answer(path, headers):
        asked.append((path, headers["Authorization"]))
        return respond(path)

    return answer


def test_a_redirect_does_not_ask_netrc(tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login tom password s3cret")
    monkeypatch.setenv("NETRC", str(netrc))
    asked = []

    def respond(path):
        return (307, {"Location": "/elsewhere"}) if path == "/v2/" else (200, {})

    with serving(noting(asked, respond)) as host:
        assert check(host) == "open"
    assert asked == [("/v2/", None), ("/elsewhere", None)]


def test_a_redirect_to_another_host_gets_no_password():
    """A registry may redirect to another host, whoever caused that."""
    asked, elsewhere = [], []
    with serving(noting(elsewhere, lambda _: (200, {}))) as other:

        def respond(path):
            if len(asked) == 1:
                return 401, {"WWW-Authenticate": 'Basic realm="r"'}
            return 307, {"Location": f"http://localhost:{other.rpartition(':')[2]}{path}"}

        with serving(noting(asked, respond)) as host:
            assert check(host, GOOD) == "accepted"
    assert [bool(credentials) for _, credentials in asked] == [False, True]
    assert elsewhere == [("/v2/", None)]


def test_no_password_is_sent_to_another_machine_without_tls(monkeypatch):
    """The engine does so only if it is configured to."""
    monkeypatch.setattr(access, "is_loopback", lambda _: False)
    asked = []
    challenge = (401, {"WWW-Authenticate": 'Basic realm="r"'})
    with serving(noting(asked, lambda _: challenge)) as host:
        assert check(host, GOOD) == "unverified"
        with pytest.raises(RegistryError, match="wants a login"):
            check(host)
    assert {credentials for _, credentials in asked} == {None}


def test_a_registry_for_all(tmp_path):
    with real_registry.running(tmp_path, private=False) as public:
        assert check(public.host) == "open"
        assert check(public.host, BAD) == "open"


def test_nobody_there():
    host = f"127.0.0.1:{ports.closed()}"
    with pytest.raises(
        RegistryError, match=rf"^The registry {host} cannot be reached \(Connection refused\)"
    ):
        check(host)


def test_no_host_name():
    with pytest.raises(RegistryError, match=r"^image_registry: 127\.0\.0\.1:x is no host name\.$"):
        check("127.0.0.1:x")


def token_service(path, headers):
    """Answer as Docker Hub does: the registry refers to a service that checks passwords."""
    url = urllib.parse.urlsplit(path)
    if url.path == "/v2/":
        realm = f"http://{headers['Host']}/token"
        challenge = f'Bearer realm="{realm}",service="hub, of tests"'
        return 401, {"WWW-Authenticate": challenge}
    query = urllib.parse.parse_qs(url.query)
    assert query == {"service": ["hub, of tests"], "account": ["tom"]}
    return (200 if headers["Authorization"] == "Basic dG9tOnMzY3JldA==" else 401), {}


def test_a_token_service():
    with serving(token_service) as host:
        assert check(host, GOOD) == "accepted"
        with pytest.raises(RegistryError, match="refuses the password"):
            check(host, BAD)


def test_a_token_service_that_is_away():
    address = f"http://127.0.0.1:{ports.closed()}/token"

    def answer(_path, _headers):
        return 401, {"WWW-Authenticate": f'Bearer realm="{address}"'}

    with (
        serving(answer) as host,
        pytest.raises(RegistryError, match=rf"login at {address} cannot be reached"),
    ):
        check(host, GOOD)


def test_a_certificate_that_is_trusted(own_certificate, monkeypatch):
    path, context = own_certificate
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    with serving(lambda *_: (200, {}), tls=context) as host:
        assert check(host) == "open"


def test_a_certificate_that_only_the_engine_may_know(own_certificate):
    with serving(lambda *_: (200, {}), tls=own_certificate[1]) as host:
        assert check(host, GOOD) == "unverified"


HUB = "docker.io/account/x:v1"
GOOGLE = "europe-docker.pkg.dev/my-project/models/app:v1"
OWN = "registry.example.com:5000/team/x:v1"
# What: (reference, status and text of the engine's answer, sentence or None)
EXPLANATIONS = {
    "absent": (OWN, 404, "manifest unknown: manifest unknown", None),
    "wrong password": (
        OWN,
        401,
        "unauthorized: authentication required",
        (
            f"The registry registry.example.com:5000 refuses access to {OWN}: "
            "set image_registry_username and image_registry_password, "
            "or run: docker login registry.example.com:5000."
        ),
    ),
    "no password": (
        HUB,
        500,
        'Head "https://registry-1.docker.io/v2/x": no basic auth credentials',
        (
            f"The registry docker.io refuses access to {HUB}: set image_registry_username and "
            "image_registry_password, or run: docker login docker.io."
        ),
    ),
    "somebody else's": (
        HUB,
        403,
        "denied: requested access to the resource is denied",
        (
            f"The registry docker.io refuses access to {HUB}: set image_registry_username and "
            "image_registry_password, or run: docker login docker.io."
        ),
    ),
    "Google's": (
        GOOGLE,
        403,
        "denied: Permission denied on resource (or it may not exist)",
        (
            f"The registry europe-docker.pkg.dev refuses access to {GOOGLE}: let an administrator "
            "of its project grant the login roles/artifactregistry.writer there."
        ),
    ),
    "refused": (
        OWN,
        500,
        'Get "http://x/v2/": dial tcp 127.0.0.1:5000: connect: connection refused',
        (
            "The registry registry.example.com:5000 cannot be reached (connection refused): "
            "start it, or correct image_registry."
        ),
    ),
    "unknown name": (
        OWN,
        500,
        'Get "https://x/v2/": dial tcp: lookup x on 127.0.0.1:53: no such host',
        (
            "The registry registry.example.com:5000 cannot be reached (no such host): "
            "start it, or correct image_registry."
        ),
    ),
    "anything else": (
        OWN,
        500,
        "x509: certificate signed by unknown authority\n",
        (
            f"The registry registry.example.com:5000 cannot be asked for {OWN}: "
            "x509: certificate signed by unknown authority"
        ),
    ),
}


@pytest.mark.parametrize(
    ("reference", "status", "text", "sentence"), EXPLANATIONS.values(), ids=EXPLANATIONS
)
def test_explain(reference, status, text, sentence):
    assert access.explain(reference, status, text) == sentence


# What: (the engine's list, reference, digests)
DIGESTS = {
    "none": ([], OWN, []),
    "the same repository": (["registry.example.com:5000/team/x@sha256:1"], OWN, ["sha256:1"]),
    "two": (["a.b/x@sha256:2", "a.b/x@sha256:1"], "a.b/x:v1", ["sha256:1", "sha256:2"]),
    "another repository": (["registry.example.com:5000/x@sha256:1"], OWN, []),
    "another port": (["registry.example.com/team/x@sha256:1"], OWN, []),
    "Docker Hub": (["account/x@sha256:1"], HUB, ["sha256:1"]),
    "Docker Hub's own": (["busybox@sha256:1"], "docker.io/library/busybox:1", ["sha256:1"]),
    "without a tag": (["localhost:5000/x@sha256:1"], "localhost:5000/x", ["sha256:1"]),
}


@pytest.mark.parametrize(("known", "reference", "digests"), DIGESTS.values(), ids=DIGESTS)
def test_repository_digests(known, reference, digests):
    assert access.repository_digests(known, reference) == digests
