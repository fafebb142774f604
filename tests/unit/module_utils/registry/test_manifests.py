"""Digests from registries with scripted answers; the module's tests use real registries."""

import datetime as dt
import ipaddress
import json
import ssl

import pytest
from ansible.module_utils.docker_ml_api.registry import manifests
from ansible.module_utils.docker_ml_api.registry.access import Credentials, RegistryError
from ansible.module_utils.docker_ml_api.registry.manifests import (
    Manifest,
    Reference,
    Registry,
    Trust,
    look_up,
    parse,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support import ports
from support.registry_double import INDEX, MANIFEST, digest_of, serving

TOM = Credentials("tom", "s3cret")
BASIC = "Basic dG9tOnMzY3JldA=="
DIGEST = "sha256:" + "0f" * 32
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
FOUND = (200, {"Content-Type": MANIFEST, "Docker-Content-Digest": DIGEST}, b"")
NOTHING = (200, {}, b"{}")
PATH = "/v2/team/app/manifests/v1"

# What: (the reference, its parts, the name and the path in the registry)
REFERENCES = {
    "port": (
        "127.0.0.1:5000/team/app:v1",
        Reference("127.0.0.1:5000", "team/app", "v1"),
        "team/app:v1",
        "team/app",
    ),
    "no tag": (
        "r.example.com/a/b/c",
        Reference("r.example.com", "a/b/c", "latest"),
        "a/b/c:latest",
        "a/b/c",
    ),
    "localhost": ("localhost/app:v1", Reference("localhost", "app", "v1"), "app:v1", "app"),
    "Docker Hub": (
        "docker.io/account/app:v1",
        Reference("docker.io", "account/app", "v1"),
        "account/app:v1",
        "account/app",
    ),
    "Docker Hub's own": (
        "busybox:1.37",
        Reference("docker.io", "busybox", "1.37"),
        "busybox:1.37",
        "library/busybox",
    ),
    "Docker Hub's own, in full": (
        "index.docker.io/library/busybox",
        Reference("docker.io", "library/busybox", "latest"),
        "library/busybox:latest",
        "library/busybox",
    ),
    "Docker Hub's account": (
        "account/app",
        Reference("docker.io", "account/app", "latest"),
        "account/app:latest",
        "account/app",
    ),
    "digest": (
        f"r.example.com/app@{DIGEST}",
        Reference("r.example.com", "app", DIGEST),
        f"app@{DIGEST}",
        "app",
    ),
    "tag and digest": (
        f"r.example.com/app:v1@{DIGEST}",
        Reference("r.example.com", "app", DIGEST),
        f"app@{DIGEST}",
        "app",
    ),
    "all that a name may have": (
        "r.example.com/a__b/c.d/e--f:V_1.-x",
        Reference("r.example.com", "a__b/c.d/e--f", "V_1.-x"),
        "a__b/c.d/e--f:V_1.-x",
        "a__b/c.d/e--f",
    ),
}


@pytest.mark.parametrize(("text", "parts", "name", "path"), REFERENCES.values(), ids=REFERENCES)
def test_parse(text, parts, name, path):
    reference = parse(text)
    assert (reference, reference.name, reference.path) == (parts, name, path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "r.example.com/",
        "r.example.com/Team/app:v1",
        "r.example.com/app:",
        "r.example.com/app:-v1",
        "r.example.com/app:" + "v" * 129,
        "r.example.com/app:v1:v2",
        "r.example.com/a//b",
        "r.example.com/../b",
        "r.example.com/app?x=1",
        "r.example.com/app@sha256:12",
        "https://r.example.com/app:v1",
        "r.example.com/app:v1\n",
    ],
)
def test_no_reference(text):
    with pytest.raises(RegistryError, match="is no image's reference, as registry"):
        parse(text)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1:5000", True),
        ("127.0.20.2", True),
        ("localhost:5000", True),
        ("localhost", True),
        ("[::1]:5000", True),
        ("10.0.0.1:5000", False),
        ("registry.example.com", False),
        ("127.example.com:80", False),
        ("docker.io", False),
    ],
)
def test_is_loopback(host, loopback):
    assert manifests.is_loopback(host) is loopback


def ask(double, credentials=None, name="team/app:v1", trust=None):
    """Return the image that was found, or the problems."""
    found, problems = look_up(
        [f"{double.host}/{name}"], lambda _: credentials, trust or Trust(), timeout=5
    )
    return "\n".join(problems) or found[f"{double.host}/{name}"]


def bearer(request):
    challenge = f'Bearer realm="http://{request.host}/token",service="hub, of tests"'
    return 401, {"WWW-Authenticate": challenge}, b"{}"


def hub(request):
    """Answer as Docker Hub does: tokens for everybody, but the private image only for Tom."""
    if request.path == "/token":
        user = {BASIC: "tom", "": "anonymous"}.get(request.authorization)
        if user is None:
            return 401, {}, b"{}"
        assert request.query["service"] == ["hub, of tests"]
        assert request.query.get("account", ["anonymous"]) == [user]
        token = f"{user} {request.query['scope'][0]}"
        return 200, {}, json.dumps({"token": token}).encode()
    for user in ("tom", "anonymous"):
        if request.authorization == f"Bearer {user} repository:team/app:pull":
            return FOUND if request.path == PATH and user == "tom" else bearer(request)
        if request.authorization == f"Bearer {user} repository:public/app:pull":
            return FOUND if request.path.endswith("/manifests/v1") else (404, {}, b"{}")
    return bearer(request)


def test_a_token_service():
    with serving(hub) as double:
        assert ask(double, TOM) == Manifest(DIGEST, MANIFEST)
        assert double.asked()[-3:] == ["GET /v2/", "GET /token", f"HEAD {PATH}"]
        assert "Authorization" not in double.requests[-3].headers
        accepted = double.requests[-1].headers["Accept"].split(", ")
    single = "application/vnd.docker.distribution.manifest.v2+json"
    assert sorted(accepted) == sorted([INDEX, LIST, MANIFEST, single])


def test_a_token_service_knows_everybody():
    with serving(hub) as double:
        assert ask(double, None, "public/app:v1") == Manifest(DIGEST, MANIFEST)
        assert ask(double, None, "public/app:v2").startswith(
            f"{double.host} has no public/app:v2: push it first, "
        )


def test_what_a_token_does_not_show():
    with serving(hub) as double:
        assert ask(double) == (
            f"The registry {double.host} has no team/app:v1 that everybody may see: correct "
            "image_registry, push the image, or set IMAGE_REGISTRY_USERNAME and "
            f"IMAGE_REGISTRY_PASSWORD, or run: docker login {double.host}."
        )
        assert ask(double, TOM, "team/app:v2") == (
            f"The registry {double.host} has no team/app:v2 that tom may see: correct "
            "image_registry, push the image, or correct IMAGE_REGISTRY_USERNAME and "
            "IMAGE_REGISTRY_PASSWORD."
        )


def test_a_token_service_that_refuses():
    with serving(hub) as double:
        assert ask(double, Credentials("tom", "wrong")) == (
            f"The registry {double.host} refuses the login of tom: "
            "correct IMAGE_REGISTRY_USERNAME and IMAGE_REGISTRY_PASSWORD."
        )


def test_a_refresh_token():
    def answer(request):
        if request.method == "POST":
            assert request.path == "/token"
            assert request.form == {
                "grant_type": ["refresh_token"],
                "refresh_token": ["opaque"],
                "client_id": ["docker-ml-api"],
                "service": ["hub, of tests"],
                "scope": ["repository:team/app:pull"],
            }
            return 200, {}, b'{"access_token": "short"}'
        return FOUND if request.authorization == "Bearer short" else bearer(request)

    with serving(answer) as double:
        assert ask(double, Credentials("", "opaque", stored=True)).digest == DIGEST


# What: (the token service's answer, its description in the message)
NO_TOKENS = {
    "an error": ((500, {}, b"oops"), "500 Internal Server Error"),
    "no JSON": ((200, {}, b"oops"), "200 OK"),
    "no token": ((200, {}, b"{}"), "200 OK"),
    "a list": ((200, {}, b"[]"), "200 OK"),
    "a status of its own": ((599, {}, b""), "599"),
}


@pytest.mark.parametrize(("answer", "said"), NO_TOKENS.values(), ids=NO_TOKENS)
def test_no_token(answer, said):
    with serving(lambda request: answer if request.path == "/token" else bearer(request)) as double:
        assert ask(double, TOM) == (
            f"The registry {double.host} gives no token: its login answers {said}."
        )


def test_a_token_service_that_is_away():
    away = f"http://127.0.0.1:{ports.closed()}/token"
    challenge = {"WWW-Authenticate": f'Bearer realm="{away}"'}
    with serving(lambda _: (401, challenge, b"")) as double:
        assert f"login at {away} cannot be reached (Connection refused)" in ask(double, TOM)
        assert "cannot be reached" in ask(double, Credentials("", "opaque", stored=True))


def test_a_registry_that_lets_in_but_does_not_show():
    """Its API's root needs no login, but its manifests do."""

    def answer(request):
        if request.path == "/v2/":
            return NOTHING
        if request.authorization == BASIC:
            return FOUND
        return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""

    with serving(answer) as double:
        assert ask(double, TOM).digest == DIGEST
        assert double.asked() == ["GET /v2/", f"HEAD {PATH}", f"HEAD {PATH}"]
        assert ask(double).startswith(f"The registry {double.host} wants a login: set IMAGE_")
        assert ask(double, Credentials("tom", "wrong")).startswith(
            f"The registry {double.host} refuses the login of tom: correct"
        )


def test_what_a_user_may_not_see():
    with serving(lambda r: NOTHING if r.path == "/v2/" else (403, {}, b"")) as double:
        stored = Credentials("", "opaque", stored=True)
        assert ask(double, stored) == (
            f"The registry {double.host} has no team/app:v1 that the stored login may see: correct "
            f"image_registry, push the image, or run: docker login {double.host}, or set "
            "IMAGE_REGISTRY_USERNAME and IMAGE_REGISTRY_PASSWORD."
        )


INDEX_DOCUMENT = json.dumps(
    {
        "mediaType": INDEX,
        "manifests": [
            {"platform": {"os": "linux", "architecture": "amd64"}},
            {"platform": {"os": "linux", "architecture": "arm", "variant": "v7"}},
            {"platform": {"os": "windows", "architecture": "amd64"}},
            {"platform": {"os": "windows", "architecture": "amd64"}},
            {"platform": {"os": "unknown", "architecture": "unknown"}},
            {"platform": None},
            {},
        ],
    }
).encode()
PLATFORMS = ("linux/amd64", "linux/arm/v7", "windows/amd64")


@pytest.mark.parametrize("kind", [INDEX, LIST, f"{INDEX}; charset=utf-8"])
def test_an_index(kind):
    headers = {"Content-Type": kind, "Docker-Content-Digest": DIGEST}
    with serving(lambda _: (200, headers, INDEX_DOCUMENT)) as double:
        expected = Manifest(DIGEST, kind.partition(";")[0], PLATFORMS)
        assert ask(double) == expected
        assert double.asked()[1:] == [f"HEAD {PATH}", f"GET {PATH}"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"manifests": 1}', b'{"manifests": ["x"]}'])
def test_no_index(body):
    headers = {"Content-Type": INDEX, "Docker-Content-Digest": DIGEST}
    with serving(lambda _: (200, headers, body)) as double:
        assert ask(double) == (
            f"The registry {double.host} answers with no index of images about team/app:v1."
        )


# What: (the status and headers of the answer to HEAD)
INCOMPLETE = {
    "no digest": (200, {"Content-Type": MANIFEST}),
    "an unknown digest": (200, {"Content-Type": MANIFEST, "Docker-Content-Digest": "md5:1"}),
    "no type": (200, {"Docker-Content-Digest": DIGEST}),
    "no HEAD": (405, {"Allow": "GET"}),
}


@pytest.mark.parametrize(("status", "headers"), INCOMPLETE.values(), ids=INCOMPLETE)
@pytest.mark.parametrize(
    ("kind", "body", "platforms"), [(MANIFEST, b"{ }", ()), (INDEX, INDEX_DOCUMENT, PLATFORMS)]
)
def test_a_digest_that_is_not_told_is_the_manifests_own(status, headers, kind, body, platforms):
    given = headers | ({"Content-Type": kind} if "Content-Type" in headers else {})

    def answer(request):
        if request.method == "HEAD":
            return status, given, b""
        return 200, {"Content-Type": kind}, body

    with serving(answer) as double:
        assert ask(double) == Manifest(digest_of(body), kind, platforms)


@pytest.mark.parametrize(
    ("status", "said"), [(429, "429 Too Many Requests"), (503, "503 Service Unavailable")]
)
def test_another_answer(status, said):
    with serving(lambda r: NOTHING if r.path == "/v2/" else (status, {}, b"")) as double:
        assert ask(double) == f"The registry {double.host} answers {said} about team/app:v1."


def test_a_registry_that_hangs_up():
    def answer(request):
        if request.path == "/v2/":
            return NOTHING
        raise ConnectionAbortedError

    with serving(answer) as double:
        assert ask(double).startswith(
            f"The registry {double.host} does not answer about team/app:v1 ("
        )


def test_nobody_there_is_told_of_once():
    host = f"127.0.0.1:{ports.closed()}"
    found, problems = look_up([f"{host}/a", f"{host}/b"], lambda _: None, Trust(), 5)
    sentence = "cannot be reached (Connection refused): start it, or correct image_registry."
    assert (found, problems) == ({}, [f"The registry {host} {sentence}"])


def test_what_is_no_reference_does_not_keep_others_from_being_found():
    with serving(lambda _: FOUND) as double:
        good = f"{double.host}/team/app:v1"
        found, problems = look_up(["No:thing", good], lambda _: None, Trust(), 5)
    assert found == {good: Manifest(DIGEST, MANIFEST)}
    assert [problem.partition(" ")[0] for problem in problems] == ["'No:thing'"]


def test_each_registry_gets_its_own_login():
    with serving(hub) as one, serving(lambda _: FOUND) as other:
        references = [f"{one.host}/team/app:v1", f"{other.host}/team/app:v1"]
        logins = {one.host: TOM}
        found, problems = look_up(references, logins.get, Trust(), 5)
        assert (list(found), problems) == (references, [])
        assert not any(request.authorization for request in other.requests)


def test_nothing_is_read_from_netrc(tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login tom password s3cret")
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(lambda _: FOUND) as double:
        ask(double)
        assert not any(request.authorization for request in double.requests)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1: its file and a server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return path, context


@pytest.fixture
def elsewhere(monkeypatch):
    """Treat loopback addresses as those of another machine."""
    monkeypatch.setattr(manifests, "is_loopback", lambda _: False)


def test_a_registry_on_this_machine_may_have_any_certificate(certificate):
    with serving(lambda _: FOUND, tls=certificate[1]) as double:
        assert ask(double).digest == DIGEST


@pytest.mark.usefixtures("elsewhere")
def test_a_registry_elsewhere_must_have_a_trusted_certificate(certificate):
    with serving(lambda _: FOUND, tls=certificate[1]) as double:
        sentence = ask(double, TOM)
        assert sentence.startswith(
            f"The registry {double.host} has no certificate that is trusted here ("
        )
        assert sentence.endswith("): name the file of its CA in REQUESTS_CA_BUNDLE.")
        assert not double.requests


@pytest.mark.usefixtures("elsewhere")
def test_a_registry_elsewhere_must_have_tls():
    with serving(hub) as double:
        assert "has no certificate that is trusted here" in ask(double, TOM)
        assert not double.requests


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("way", ["environment", "ca_path", "any"])
def test_ways_to_trust(certificate, monkeypatch, way):
    path, context = certificate
    trust = {
        "environment": Trust(),
        "ca_path": Trust(ca_path=str(path)),
        "any": Trust(validate_certs=False),
    }[way]
    if way == "environment":
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    with serving(lambda _: FOUND, tls=context) as double:
        assert ask(double, trust=trust).digest == DIGEST


@pytest.mark.usefixtures("elsewhere")
def test_without_validation_no_tls_will_do():
    with serving(lambda _: FOUND) as double:
        assert ask(double, trust=Trust(validate_certs=False)).digest == DIGEST


def test_docker_hubs_api_is_elsewhere():
    """The API of docker.io is at registry-1.docker.io."""
    hub_ = Registry("docker.io", None, Trust(), 5)
    asked = []

    class Session:
        def get(self, address, **_):
            asked.append(address)
            raise manifests.requests.exceptions.SSLError("x: not trusted")

    with pytest.raises(RegistryError, match="has no certificate"):
        hub_._ask_api(Session())
    assert asked == ["https://registry-1.docker.io/v2/"]
