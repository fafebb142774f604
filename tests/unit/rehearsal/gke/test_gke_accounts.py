"""Assertions are verified; tokens are valid for a limited time."""

from __future__ import annotations

import base64
import functools
import json

import pytest
from google.auth import crypt, jwt

from rehearsal.gke import accounts
from rehearsal.gke.accounts import CLOUD_PLATFORM, GRANT, TOKEN_URI, Accounts, Refused
from rehearsal.gke.clock import RealClock, StandingClock

EMAIL = "someone@p.iam.gserviceaccount.com"
NOT_SHORT_LIVED = "must be a short-lived token"


@functools.cache
def made():
    return accounts.make_account(EMAIL, "p")


@functools.cache
def another():
    return accounts.make_account("another@p.iam.gserviceaccount.com", "p")


@pytest.fixture
def clock():
    return StandingClock()


@pytest.fixture
def known(clock):
    return Accounts([made()[0]], clock, token_seconds=600)


def claims(now, **changes):
    found = {"iss": EMAIL, "scope": CLOUD_PLATFORM, "aud": TOKEN_URI, "iat": now, "exp": now + 3600}
    return {name: value for name, value in {**found, **changes}.items() if value is not None}


def signed(payload, key=None, **header):
    return jwt.encode(crypt.RSASigner.from_service_account_info(key or made()[1]), payload, header)


def form(assertion):
    text = assertion.decode() if isinstance(assertion, bytes) else assertion
    return {"grant_type": GRANT, "assertion": text}


def test_key_is_one_that_google_auth_takes():
    _, key = made()
    assert key["type"] == "service_account"
    assert key["token_uri"] == TOKEN_URI
    assert crypt.RSASigner.from_service_account_info(key).key_id == key["private_key_id"]
    assert made()[0].public_key.startswith("-----BEGIN PUBLIC KEY-----")
    assert len(made()[0].unique_id) == 21


def test_assertion_is_worth_a_token(known, clock):
    token = known.grant(form(signed(claims(clock.now(), scope=f"{CLOUD_PLATFORM} openid"))))
    assert token.email == EMAIL
    assert token.scopes == (CLOUD_PLATFORM, "openid")
    assert token.names_email
    assert known.seconds_left(token) == 600
    assert known.find(token.value) == token
    assert not known.grant(form(signed(claims(clock.now())))).names_email


def unsigned(payload):
    parts = ({"alg": "none", "kid": made()[0].key_id}, payload)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts]
    return ".".join([*(part.rstrip("=") for part in encoded), ""])


def tampered(payload):
    header, _, signature = signed(payload).split(b".")
    other = base64.urlsafe_b64encode(json.dumps({**payload, "scope": "openid"}).encode())
    return b".".join([header, other.rstrip(b"="), signature])


@pytest.mark.parametrize(
    ("assertion", "code", "description"),
    [
        (
            lambda now: signed(claims(now, iss="nobody@p")),
            "invalid_grant",
            "Invalid grant: account not found",
        ),
        (lambda now: signed(claims(now), another()[1]), "invalid_grant", "Invalid JWT Signature."),
        (
            lambda now: signed(claims(now), {**another()[1], "private_key_id": made()[0].key_id}),
            "invalid_grant",
            "Invalid JWT Signature.",
        ),
        (
            lambda now: signed(claims(now), alg="HS256"),
            "invalid_grant",
            "Invalid JWT Signature.",
        ),
        (lambda now: unsigned(claims(now)), "invalid_grant", "Invalid JWT Signature."),
        (lambda now: tampered(claims(now)), "invalid_grant", "Invalid JWT Signature."),
        (
            lambda now: signed(claims(now, aud="https://example.com")),
            "invalid_grant",
            "Failed audience check",
        ),
        (
            lambda now: signed(claims(now - 7200)),
            "invalid_grant",
            NOT_SHORT_LIVED,
        ),
        (lambda now: signed(claims(now + 600)), "invalid_grant", NOT_SHORT_LIVED),
        (lambda now: signed(claims(now, exp=now + 3601)), "invalid_grant", NOT_SHORT_LIVED),
        (lambda now: signed(claims(now, exp=now - 1)), "invalid_grant", NOT_SHORT_LIVED),
        (lambda now: signed(claims(now, exp=None)), "invalid_grant", NOT_SHORT_LIVED),
        (lambda now: signed(claims(now, scope=None)), "invalid_scope", "Invalid OAuth scope"),
        (lambda now: signed(claims(now, scope="all")), "invalid_scope", "Invalid OAuth scope"),
        (lambda _: "nonsense", "invalid_grant", "is no JWT"),
        (lambda _: "a.b.c", "invalid_grant", "is no JWT"),
        (lambda _: "MQ.MQ.MQ", "invalid_grant", "is no JWT"),
    ],
)
def test_assertion_that_is_refused(known, clock, assertion, code, description):
    with pytest.raises(Refused, match=description) as caught:
        known.grant(form(assertion(clock.now())))
    assert caught.value.code == code


def test_another_grant_is_refused(known):
    with pytest.raises(Refused, match="Invalid grant_type: password") as caught:
        known.grant({"grant_type": "password"})
    assert caught.value.code == "unsupported_grant_type"


def test_token_ends(known, clock):
    token = known.issue(EMAIL, [CLOUD_PLATFORM])
    clock.advance(599)
    assert known.find(token.value) == token
    clock.advance(1)
    assert known.find(token.value) is None
    assert known.dump() == []


def test_token_that_was_revoked(known):
    token = known.issue(EMAIL, [CLOUD_PLATFORM])
    known.revoke(token.value)
    known.revoke("unknown")
    assert known.find(token.value) is None


def test_tokens_outlive_the_process(known, clock):
    token = known.issue(EMAIL, [CLOUD_PLATFORM])
    again = Accounts([made()[0]], clock)
    again.load(json.loads(json.dumps(known.dump())))
    assert again.find(token.value) == token


def test_key_of_another_kind(clock):
    curve = (
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
        "-----END PUBLIC KEY-----\n"
    )
    account = accounts.Account(EMAIL, "1", made()[0].key_id, curve)
    with pytest.raises(TypeError, match="none of RSA"):
        Accounts([account], clock).grant(form(signed(claims(clock.now()))))


def test_real_clock_can_be_put_forward():
    clock = RealClock()
    before = clock.now()
    clock.advance(1000)
    assert clock.now() >= before + 1000
    assert RealClock(offset=500).now() < clock.now()
