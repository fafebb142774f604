import base64
import json

import pytest
from ansible.module_utils.docker_ml_api.kubernetes import pull_secret

HUB = "https://index.docker.io/v1/"


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def secret(auths, kind="kubernetes.io/dockerconfigjson"):
    return {"type": kind, "data": {".dockerconfigjson": encoded(json.dumps({"auths": auths}))}}


@pytest.mark.parametrize(
    ("registry", "key"),
    [
        ("docker.io/ACCOUNT", HUB),
        ("docker.io", HUB),
        ("registry.example.com:5000/team/x", "registry.example.com:5000"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
    ],
)
def test_registry_key(registry, key):
    assert pull_secret.registry_key(registry) == key


BOTH = {"username": "tom", "password": "a:b", "auth": encoded("tom:a:b")}
# What: (live Secret, whether it holds tom's password a:b at Docker Hub)
SECRETS = {
    "as we make it": (secret({HUB: BOTH}), True),
    "without auth": (secret({HUB: {"username": "tom", "password": "a:b"}}), True),
    "auth alone, as docker login writes it": (secret({HUB: {"auth": encoded("tom:a:b")}}), True),
    "another password": (secret({HUB: {**BOTH, "auth": encoded("tom:x")}}), False),
    "another user": (secret({HUB: {"username": "ann", "password": "a:b"}}), False),
    "another registry": (secret({"example.com": BOTH}), False),
    "one more registry": (secret({HUB: BOTH, "example.com": BOTH}), False),
    "another type": (secret({HUB: BOTH}, kind="Opaque"), False),
    "no data": ({"type": pull_secret.SECRET_TYPE}, False),
    "not base64": (
        {"type": pull_secret.SECRET_TYPE, "data": {".dockerconfigjson": "%"}},
        False,
    ),
    "not JSON": (
        {"type": pull_secret.SECRET_TYPE, "data": {".dockerconfigjson": encoded("{")}},
        False,
    ),
    "no auths": (
        {"type": pull_secret.SECRET_TYPE, "data": {".dockerconfigjson": encoded("[]")}},
        False,
    ),
    "entry without a login": (secret({HUB: {}}), False),
    "entry that is no mapping": (secret({HUB: None}), False),
}


@pytest.mark.parametrize(("live", "expected"), SECRETS.values(), ids=SECRETS)
def test_holds(live, expected):
    assert pull_secret.holds(live, "docker.io/ACCOUNT", "tom", "a:b") is expected
