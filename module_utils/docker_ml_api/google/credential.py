"""Prints a Google access token as an ExecCredential, for the login of the kubeconfigs for GKE.

A kubeconfig passes this text to Python itself (`python -Pc…`), so no file with this program is
needed, and it imports nothing of this project. LOGIN contains the login as a mapping in JSON,
which names files, but never contains their content:

  auth_kind             serviceaccount, application or accesstoken
  service_account_file  the key's file; if unset, the key is in GCP_SERVICE_ACCOUNT_CONTENTS
  access_token_file     the token's file; if unset, the token is in GCP_ACCESS_TOKEN
  environment           variables for the connection to Google: proxies, a certificate authority
"""

from __future__ import annotations

import functools
import json
import os
import sys
from typing import Any

LOGIN = "DOCKER_ML_API_GOOGLE_LOGIN"
SCOPES = (
    "https://www.googleapis.com/auth/cloud-platform",
    # The cluster identifies its users by their e-mail address.
    "https://www.googleapis.com/auth/userinfo.email",
)
API_VERSION = "client.authentication.k8s.io/v1"
_TIMEOUT = 20.0


class LoginError(Exception):
    """There is no token; the message is one sentence that includes the fix."""


def read_file(path: str, option: str) -> str:
    """Return the text of a file that an option names; raise LoginError."""
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:  # noqa: PTH111, PTH123 - lean
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise LoginError(f"{option} {path} cannot be read ({reason}): fix that.") from error


def key_of(login: dict[str, Any], environ: Any) -> dict[str, Any]:
    """Return the service account's key; raise LoginError."""
    path = login.get("service_account_file")
    if path:
        text = read_file(path, "service_account_file")
        where = f"service_account_file {path}"
    else:
        where = "GCP_SERVICE_ACCOUNT_CONTENTS"
        text = environ.get(where) or ""
        if not text:
            raise LoginError(
                "GCP_SERVICE_ACCOUNT_CONTENTS is not set: export it with the key as JSON, or name "
                "the key's file with GCP_SERVICE_ACCOUNT_FILE and write the kubeconfig anew."
            )
    try:
        key = json.loads(text)
    except ValueError as error:
        raise LoginError(f"{where} holds no JSON: create a key of type JSON anew.") from error
    if not isinstance(key, dict) or key.get("type") != "service_account":
        raise LoginError(f"{where} holds no service account's key: create one of type JSON.")
    return key


def credentials_of(login: dict[str, Any], environ: Any) -> Any:
    """Return the credentials of google-auth for auth_kind serviceaccount or application."""
    import google.auth  # noqa: PLC0415 - an access token does without it, and it takes its time
    from google.oauth2 import service_account  # noqa: PLC0415

    if login.get("auth_kind") == "application":
        return google.auth.default(scopes=SCOPES)[0]
    key = key_of(login, environ)
    kind: Any = service_account.Credentials
    try:
        return kind.from_service_account_info(key, scopes=SCOPES)
    except ValueError as error:
        raise LoginError(f"The service account's key is not whole ({error}).") from error


def token_of(login: dict[str, Any], environ: Any) -> tuple[str, str]:
    """Return an access token and when it expires (RFC 3339), empty if unknown; raise LoginError."""
    kind = login.get("auth_kind")
    if kind == "accesstoken":
        path = login.get("access_token_file")
        token = read_file(path, "The file") if path else environ.get("GCP_ACCESS_TOKEN") or ""
        if not token.strip():
            raise LoginError(
                "There is no access token: export GCP_ACCESS_TOKEN "
                "('gcloud auth print-access-token' prints one)."
            )
        return token.strip(), ""
    if kind not in {"serviceaccount", "application"}:
        raise LoginError(f"{LOGIN} names no auth_kind: write the kubeconfig anew.")
    try:
        from google.auth import exceptions  # noqa: PLC0415
        from google.auth.transport.requests import Request  # noqa: PLC0415
    except ImportError as error:
        raise LoginError(
            f"The Python package google-auth is not there for {sys.executable} ({error}): install "
            "it, or write the kubeconfig anew with this project's Python."
        ) from error
    try:
        credentials = credentials_of(login, environ)
        credentials.refresh(functools.partial(Request(), timeout=_TIMEOUT))
    except exceptions.DefaultCredentialsError as error:
        raise LoginError(
            "There are no application default credentials: log in with "
            "'gcloud auth application-default login', or name a key file with "
            "GOOGLE_APPLICATION_CREDENTIALS."
        ) from error
    except exceptions.GoogleAuthError as error:
        said = str(error.args[0] if error.args else error).strip().rstrip(".")
        raise LoginError(f"Google gives no token: {said}.") from error
    ends = credentials.expiry.strftime("%Y-%m-%dT%H:%M:%SZ") if credentials.expiry else ""
    return str(credentials.token), ends


def credential(environ: Any) -> dict[str, Any]:
    """Return the ExecCredential for the login in the environment; raise LoginError."""
    try:
        login = json.loads(environ.get(LOGIN) or "")
        asked = json.loads(environ.get("KUBERNETES_EXEC_INFO") or "{}")
        environ.update(login.get("environment") or {})
    except (ValueError, AttributeError) as error:
        raise LoginError(f"{LOGIN} holds no login: write the kubeconfig anew.") from error
    token, ends = token_of(login, environ)
    status = {"token": token, **({"expirationTimestamp": ends} if ends else {})}
    version = asked.get("apiVersion") or API_VERSION
    return {"apiVersion": version, "kind": "ExecCredential", "status": status}


def main() -> int:
    """Print the ExecCredential, or one sentence to standard error."""
    try:
        answer = json.dumps(credential(os.environ))
    except LoginError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{answer}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
