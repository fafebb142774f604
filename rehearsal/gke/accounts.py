"""Service accounts: their keys, signed assertions, and the access tokens issued for assertions."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rehearsal.gke.call import Clock

TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EMAIL_SCOPES = frozenset({"https://www.googleapis.com/auth/userinfo.email", "email", "openid"})
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
KNOWN_SCOPES = EMAIL_SCOPES | {
    CLOUD_PLATFORM,
    f"{CLOUD_PLATFORM}.read-only",
    "profile",
    "https://www.googleapis.com/auth/userinfo.profile",
    "https://www.googleapis.com/auth/accounts.reauth",
    "https://www.googleapis.com/auth/appengine.admin",
    "https://www.googleapis.com/auth/compute",
    "https://www.googleapis.com/auth/compute.readonly",
    "https://www.googleapis.com/auth/container",
    "https://www.googleapis.com/auth/container.read-only",
    "https://www.googleapis.com/auth/sqlservice.login",
}
_LONGEST_ASSERTION = 3600
_CLOCKS_DIFFER_BY = 300
_SHORT_LIVED = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)


class Refused(Exception):  # noqa: N818 - the client's error
    """The token endpoint's 400: an OAuth error code and its description."""

    def __init__(self, code: str, description: str) -> None:
        """Initialize with the error code ("invalid_grant") and Google's wording."""
        super().__init__(description)
        self.code = code


@dataclass(frozen=True)
class Account:
    """A service account and its only key."""

    email: str
    unique_id: str
    key_id: str
    public_key: str
    """PEM."""


@dataclass(frozen=True)
class Token:
    """An access token."""

    value: str
    email: str
    unique_id: str
    scopes: tuple[str, ...]
    expires: float

    @property
    def names_email(self) -> bool:
        """Whether the token's scopes grant access to the e-mail address."""
        return not EMAIL_SCOPES.isdisjoint(self.scopes)


def make_account(email: str, project: str) -> tuple[Account, dict[str, str]]:
    """Return an account, and its key in the JSON format of Google's key files."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    unique_id = f"1{secrets.randbelow(10**20):020}"
    account = Account(email, unique_id, secrets.token_hex(20), public.decode())
    return account, {
        "type": "service_account",
        "project_id": project,
        "private_key_id": account.key_id,
        "private_key": private,
        "client_email": email,
        "client_id": unique_id,
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": TOKEN_URI,
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "client_x509_cert_url": (
            f"https://www.googleapis.com/robot/v1/metadata/x509/{email.replace('@', '%40')}"
        ),
        "universe_domain": "googleapis.com",
    }


class Accounts:
    """The known accounts and the issued tokens."""

    def __init__(
        self,
        accounts: Sequence[Account],
        clock: Clock,
        *,
        token_seconds: float = 3600.0,
        audiences: Callable[[], Sequence[str]] = lambda: (TOKEN_URI,),
    ) -> None:
        """Initialize with the accounts; an assertion must name one of the audiences."""
        self._by_email = {account.email: account for account in accounts}
        self._clock = clock
        self._audiences = audiences
        self.token_seconds = token_seconds
        self._tokens: dict[str, Token] = {}

    def grant(self, form: Mapping[str, str]) -> Token:
        """Return an access token for the form that was sent to the token endpoint.

        :raises Refused: the form or its assertion is invalid; in Google's wording.
        """
        kind = form.get("grant_type", "")
        if kind != GRANT:
            raise Refused("unsupported_grant_type", f"Invalid grant_type: {kind}")
        claims = self._verified(form.get("assertion", ""))
        scopes = str(claims.get("scope", "")).split()
        if not scopes or not KNOWN_SCOPES.issuperset(scopes):
            raise Refused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        return self.issue(str(claims["iss"]), scopes)

    def issue(self, email: str, scopes: Sequence[str]) -> Token:
        """Issue a token without requiring an assertion."""
        account = self._by_email[email]
        token = Token(
            f"ya29.c.{secrets.token_urlsafe(48)}",
            email,
            account.unique_id,
            tuple(scopes),
            self._clock.now() + self.token_seconds,
        )
        self._forget_expired()
        self._tokens[token.value] = token
        return token

    def find(self, value: str) -> Token | None:
        """Return the token if it is valid, otherwise None."""
        token = self._tokens.get(value)
        if token is None or token.expires <= self._clock.now():
            return None
        return token

    def owner(self, key: Any) -> str | None:
        """Return the e-mail address of the account that a key (the JSON of its file) belongs to."""
        try:
            account = self._by_email[key["client_email"]]
            private: Any = serialization.load_pem_private_key(key["private_key"].encode(), None)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        public = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return account.email if public.decode() == account.public_key else None

    def seconds_left(self, token: Token) -> int:
        """Return the token's remaining lifetime in seconds."""
        return max(0, round(token.expires - self._clock.now()))

    def revoke(self, value: str) -> None:
        """Revoke a token."""
        self._tokens.pop(value, None)

    def dump(self) -> list[dict[str, Any]]:
        """Return the valid tokens as JSON."""
        self._forget_expired()
        return [asdict(token) for token in self._tokens.values()]

    def load(self, tokens: Sequence[Mapping[str, Any]]) -> None:
        """Restore the tokens that `dump` returned."""
        for each in tokens:
            token = Token(**{**each, "scopes": tuple(each["scopes"])})
            self._tokens[token.value] = token

    def _forget_expired(self) -> None:
        now = self._clock.now()
        self._tokens = {
            value: token for value, token in self._tokens.items() if token.expires > now
        }

    def _verified(self, assertion: str) -> Mapping[str, Any]:
        """Return the claims of an assertion after checking its signature, audience and times."""
        header, claims, signed, signature = _parsed(assertion)
        account = self._by_email.get(str(claims.get("iss")))
        if account is None:
            raise Refused("invalid_grant", "Invalid grant: account not found")
        if header.get("alg") != "RS256" or header.get("kid") not in (None, account.key_id):
            raise Refused("invalid_grant", "Invalid JWT Signature.")
        key = serialization.load_pem_public_key(account.public_key.encode())
        if not isinstance(key, rsa.RSAPublicKey):
            raise TypeError(f"the key of {account.email} is none of RSA")
        try:
            key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise Refused("invalid_grant", "Invalid JWT Signature.") from None
        if claims.get("aud") not in self._audiences():
            raise Refused(
                "invalid_grant",
                f"Invalid JWT: Failed audience check. The right audience is {TOKEN_URI}",
            )
        self._check_times(claims)
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now, begins, ends = self._clock.now(), claims.get("iat"), claims.get("exp")
        if not isinstance(begins, int | float) or not isinstance(ends, int | float):
            raise Refused("invalid_grant", _SHORT_LIVED)
        in_time = begins <= now + _CLOCKS_DIFFER_BY and ends > now - _CLOCKS_DIFFER_BY
        if not in_time or not 0 < ends - begins <= _LONGEST_ASSERTION:
            raise Refused("invalid_grant", _SHORT_LIVED)


def _parsed(assertion: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Return the header, the claims, the signed bytes and the signature."""
    try:
        first, second, third = assertion.split(".")
        header, claims = json.loads(_decoded(first)), json.loads(_decoded(second))
        signature = _decoded(third)
    except (ValueError, binascii.Error):
        raise Refused("invalid_grant", "Bad Request: the assertion is no JWT.") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise Refused("invalid_grant", "Bad Request: the assertion is no JWT.")
    return header, claims, f"{first}.{second}".encode(), signature


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
