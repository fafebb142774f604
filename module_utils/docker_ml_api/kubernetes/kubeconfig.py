"""Reads a kubeconfig like kubectl: the server, its TLS settings and the credentials.

The official client can read one as well, but takes a second to import, ignores NO_PROXY, continues
without credentials if an `exec` plugin fails, and uses the last of several files for the context.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import ipaddress
import json
import os
import subprocess
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from ansible.module_utils.docker_ml_api import private_files

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXEC_TIMEOUT = 60.0
_RENEW_BEFORE = timedelta(seconds=60)
_PREFIX = "login-"
_SECTIONS = ("clusters", "contexts", "users")


class ClusterError(Exception):
    """The cluster cannot be used; the message is one sentence that includes the fix."""


@dataclass(frozen=True)
class Entry:
    """A cluster, context or user of a kubeconfig; paths in it are relative to `folder`."""

    values: dict[str, Any]
    folder: Path


@dataclass
class Kubeconfig:
    """The merged content of one or several files; `place` is their name in messages."""

    place: str
    current: str = ""
    clusters: dict[str, Entry] = field(default_factory=dict)
    contexts: dict[str, Entry] = field(default_factory=dict)
    users: dict[str, Entry] = field(default_factory=dict)

    def add(self, content: Any, folder: Path) -> None:
        """Merge the content of a file; if files contradict each other, the first one wins."""
        content = {} if content is None else content
        if not isinstance(content, dict):
            raise ClusterError(f"{self.place} is no kubeconfig: it is no mapping.")
        current = content.get("current-context") or ""
        if not isinstance(current, str):
            raise ClusterError(f"{self.place} is no kubeconfig: its current-context is no text.")
        self.current = self.current or current
        for section in _SECTIONS:
            entries: dict[str, Entry] = getattr(self, section)
            values_key = section.removesuffix("s")
            listed = content.get(section) or []
            for entry in listed if isinstance(listed, list) else [listed]:
                values = entry.get(values_key) if isinstance(entry, dict) else ""
                if not isinstance(values, dict | None):
                    raise ClusterError(
                        f"{self.place} is no kubeconfig: its {section} must be mappings with "
                        f"'name' and '{values_key}'."
                    )
                entries.setdefault(str(entry.get("name")), Entry(values or {}, folder))


def load(source: Any) -> Kubeconfig:
    """Return the kubeconfig of a path, of several paths (as in KUBECONFIG) or of a mapping.

    The source defaults to KUBECONFIG, or ~/.kube/config. Raises ClusterError.
    """
    if isinstance(source, dict):
        kubeconfig = Kubeconfig("The kubeconfig given as a mapping")
        kubeconfig.add(source, Path.cwd())
        return kubeconfig
    if not isinstance(source, str | None):
        raise ClusterError("The kubeconfig is neither a path nor a mapping.")
    named = source or os.environ.get("KUBECONFIG") or "~/.kube/config"
    kubeconfig = Kubeconfig(f"The kubeconfig {named}")
    found = False
    for name in filter(None, named.split(os.pathsep)):
        path = Path(name).expanduser()
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ClusterError(
                f"The kubeconfig {name} cannot be read ({reason}): fix that, or name another "
                "with kubernetes_kubeconfig or KUBECONFIG."
            ) from error
        found = True
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ClusterError(f"The kubeconfig {name} is no YAML: {_one_line(error)}.") from error
        kubeconfig.add(content, path.absolute().parent)
    if not found:
        raise ClusterError(
            f"{kubeconfig.place} is not there: create it with your cluster's tool (kind, "
            "minikube, k3s, your cloud), or name another with kubernetes_kubeconfig or KUBECONFIG."
        )
    return kubeconfig


@dataclass(frozen=True)
class Access:
    """The access of one context to its API server.

    certificate_authority: PEM text; empty for the system's certificates.
    server_name: the name in the certificate, if it differs from the server's host.
    proxy: a URL; empty for none.
    impersonated_user, impersonated_groups: the user and groups to impersonate (`as`, `as-groups`);
        empty for none.
    """

    context: str
    place: str
    server: str
    certificate_authority: str
    verify: bool
    server_name: str
    proxy: str
    user: Entry
    impersonated_user: str = ""
    impersonated_groups: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the cluster in messages."""
        return f"The cluster of context {self.context}"

    @property
    def shown_proxy(self) -> str:
        """The proxy without its credentials; empty for none."""
        return _without_credentials(self.proxy)


def access(kubeconfig: Kubeconfig, context: str = "") -> Access:
    """Return the access of a context, by default the current one; raise ClusterError."""
    place = kubeconfig.place
    known = sorted(kubeconfig.contexts)
    names = f"one of {', '.join(known)}" if len(known) > 1 else "".join(known)
    if not names:
        raise ClusterError(
            f"{place} has no contexts: create one with your cluster's tool (kind, minikube, k3s, "
            "your cloud), or name another kubeconfig with kubernetes_kubeconfig or KUBECONFIG."
        )
    context = context or kubeconfig.current
    if not context:
        raise ClusterError(f"{place} has no current context: set kubernetes_context to {names}.")
    if context not in kubeconfig.contexts:
        raise ClusterError(f"{place} has no context {context}: set kubernetes_context to {names}.")
    chosen = kubeconfig.contexts[context].values
    cluster = _referred(kubeconfig, context, "cluster", str(chosen.get("cluster") or ""))
    user_name = str(chosen.get("user") or "")
    user = _referred(kubeconfig, context, "user", user_name) if user_name else Entry({}, Path.cwd())
    values = cluster.values
    server = str(values.get("server") or "").rstrip("/")
    if urllib.parse.urlsplit(server).scheme not in {"http", "https"}:
        raise ClusterError(
            f"{place}, context {context}: its cluster's server must be https://HOST:PORT, but it "
            f"is '{server}'."
        )
    impersonated_user, impersonated_groups = _impersonated(user, place, context)
    proxy = str(values.get("proxy-url") or "") or proxy_of(server)
    if proxy and urllib.parse.urlsplit(proxy).scheme not in {"http", "https"}:
        raise ClusterError(
            f"{place}, context {context}: the proxy {_without_credentials(proxy)} is no http:// or "
            "https:// URL: name an HTTP proxy by proxy-url in this file, or by HTTPS_PROXY."
        )
    return Access(
        context=context,
        place=place,
        server=server,
        certificate_authority=_pem(cluster, "certificate-authority", place),
        verify=not values.get("insecure-skip-tls-verify"),
        server_name=str(values.get("tls-server-name") or ""),
        proxy=proxy,
        user=user,
        impersonated_user=impersonated_user,
        impersonated_groups=impersonated_groups,
    )


def alone(access: Access, user: Mapping[str, Any]) -> dict[str, Any]:
    """Return a kubeconfig of one access only, which does not depend on other files.

    For clients that read kubeconfigs differently, which may choose the context of another file, or
    keep the line break of a token.

    user: the credentials, in the form of a kubeconfig.
    """
    name = access.context
    cluster: dict[str, Any] = {"server": access.server}
    if access.certificate_authority:
        authority = base64.b64encode(access.certificate_authority.encode()).decode()
        cluster["certificate-authority-data"] = authority
    if not access.verify:
        cluster["insecure-skip-tls-verify"] = True
    if access.server_name:
        cluster["tls-server-name"] = access.server_name
    if access.proxy:
        cluster["proxy-url"] = access.proxy
    impersonated: dict[str, Any] = {}
    if access.impersonated_user:
        impersonated = {"as": access.impersonated_user, "as-groups": [*access.impersonated_groups]}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {**user, **impersonated}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def _impersonated(user: Entry, place: str, context: str) -> tuple[str, tuple[str, ...]]:
    """Return the user and the groups to impersonate; raise ClusterError."""
    who = f"{place}, context {context}: its user has"
    values = user.values
    for name in ("as-uid", "as-user-extra"):
        if values.get(name):
            # The modules of kubernetes.core have no option for these fields.
            raise ClusterError(
                f"{who} {name}, with which objects cannot be applied: remove it, or name another "
                "context with kubernetes_context."
            )
    name, groups = values.get("as") or "", values.get("as-groups") or []
    if not isinstance(name, str):
        raise ClusterError(f"{who} an 'as' that is no text.")
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise ClusterError(f"{who} as-groups that are no list of texts.")
    if groups and not name:
        raise ClusterError(f"{who} as-groups without 'as': name the user, too.")
    return name, tuple(groups)


def _referred(kubeconfig: Kubeconfig, context: str, kind: str, name: str) -> Entry:
    entries: dict[str, Entry] = getattr(kubeconfig, f"{kind}s")
    if name not in entries:
        raise ClusterError(
            f"{kubeconfig.place}, context {context}, names a {kind} '{name}' that is not in it: "
            "write the context anew with your cluster's tool."
        )
    return entries[name]


def _pem(entry: Entry, key: str, place: str) -> str:
    """Return the text of `key`-data (base64), or of the file in `key`; otherwise nothing."""
    data = entry.values.get(f"{key}-data")
    try:
        if data:
            return base64.b64decode(str(data), validate=True).decode("ascii")
        name = entry.values.get(key)
        if name:
            return (entry.folder / Path(str(name)).expanduser()).read_text(encoding="ascii")
    except OSError as error:
        raise ClusterError(
            f"{place}: the file of its {key} cannot be read: {error.strerror}: {error.filename}."
        ) from error
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ClusterError(f"{place}: its {key} is no PEM text ({_one_line(error)}).") from error
    return ""


def _without_credentials(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def proxy_of(server: str) -> str:
    """Return the environment's proxy for a server, by the rules of kubectl; empty for none.

    A loopback address never has one. NO_PROXY accepts names, addresses and networks (CIDR).
    """
    parts = urllib.parse.urlsplit(server)
    host = (parts.hostname or "").rstrip(".")
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(parts.scheme, "")
    if not proxy or host == "localhost":
        return ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        if address.is_loopback or any(
            address in network for network in _networks(proxies.get("no", ""))
        ):
            return ""
    if urllib.request.proxy_bypass_environment(parts.netloc, proxies):  # type: ignore[attr-defined]
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _networks(no_proxy: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    networks = []
    for item in no_proxy.split(","):
        try:
            networks.append(ipaddress.ip_network(item.strip(), strict=False))
        except ValueError:
            continue
    return networks


class Login:
    """The credentials for the API server: headers, or a client certificate.

    The answer of an `exec` plugin is kept for the run of Ansible, in which each module logs in:
    a plugin starts a program of its cloud, which may take a second.
    """

    def __init__(self, access: Access) -> None:
        """Set the access; an `exec` plugin runs when its answer is first needed."""
        self._access = access
        self._user = access.user.values
        self._answer: dict[str, Any] | None = None

    @property
    def renewable(self) -> bool:
        """Whether the credentials can be renewed, because an `exec` plugin provides them."""
        return "exec" in self._user

    def renew(self) -> None:
        """Discard the answer of the `exec` plugin."""
        self._answer = None
        self._keep("{}")

    def provider(self) -> str:
        """Return the name of the user's auth-provider, which the official client handles."""
        return str((self._user.get("auth-provider") or {}).get("name") or "")

    def plugin(self) -> dict[str, Any]:
        """Return the `exec` plugin in a form for a kubeconfig in any folder; empty for none."""
        if not self.renewable:
            return {}
        plugin: dict[str, Any] = dict(self._user["exec"])
        return {**plugin, "command": _command(self._access, plugin)}

    def headers(self) -> dict[str, str]:
        """Return the headers of a request; raise ClusterError."""
        user = self._user
        token = ""
        if user.get("tokenFile"):
            token = _pem(
                Entry({"tokenFile": user["tokenFile"]}, self._access.user.folder),
                "tokenFile",
                self._access.place,
            ).strip()
        token = token or str(user.get("token") or "")
        if not token and self.renewable:
            token = str(self._status().get("token") or "")
        if token:
            return {"Authorization": f"Bearer {token}"}
        if user.get("username") and user.get("password"):
            login = f"{user['username']}:{user['password']}".encode()
            return {"Authorization": f"Basic {base64.b64encode(login).decode()}"}
        return {}

    def certificate(self) -> tuple[str, str]:
        """Return the client certificate and its key as PEM texts; both are empty without one."""
        access = self._access
        certificate = _pem(access.user, "client-certificate", access.place)
        if certificate:
            return certificate, _pem(access.user, "client-key", access.place) or certificate
        if self.renewable:
            status = self._status()
            if status.get("clientCertificateData") and status.get("clientKeyData"):
                return str(status["clientCertificateData"]), str(status["clientKeyData"])
        return "", ""

    def _status(self) -> dict[str, Any]:
        if self._answer is None:
            self._answer = self._kept()
        if not self._answer or _expires(self._answer):
            self._answer = run_plugin(self._access)
            self._keep(json.dumps(self._answer))
        return self._answer

    def _kept(self) -> dict[str, Any] | None:
        """Return the answer that this run of Ansible keeps, if there is a run and it does."""
        if not os.environ.get(private_files.RUN):
            return None
        try:
            found = json.loads(private_files.read(self._key(), os.environ, prefix=_PREFIX))
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def _keep(self, answer: str) -> None:
        """Keep the answer for the run; an empty one is as none."""
        if os.environ.get(private_files.RUN):
            # Without it the plugin runs once more.
            with contextlib.suppress(private_files.PrivateFilesError, OSError):
                private_files.keep(answer, os.environ, prefix=_PREFIX, key=self._key())

    def _key(self) -> str:
        return json.dumps([self._access.server, self.plugin()], sort_keys=True, default=str)


def _expires(status: Mapping[str, Any]) -> bool:
    try:
        end = datetime.fromisoformat(str(status.get("expirationTimestamp")))
    except ValueError:
        return False
    if end.tzinfo is None:
        end = end.replace(tzinfo=UTC)
    return end - _RENEW_BEFORE <= datetime.now(UTC)


def run_plugin(access: Access) -> dict[str, Any]:
    """Run the user's `exec` plugin and return the status of its answer: token or certificate.

    The plugin cannot prompt. Raises ClusterError with the plugin's own message.
    """
    plugin = access.user.values.get("exec")
    if not isinstance(plugin, dict) or not plugin.get("command") or not plugin.get("apiVersion"):
        raise ClusterError(
            f"{access.place}, context {access.context}: the user's exec must have command and "
            "apiVersion."
        )
    command = _command(access, plugin)
    which = f"{access.name}: the login's command {plugin['command']}"
    try:
        done = subprocess.run(
            [command, *map(str, plugin.get("args") or [])],
            env=_plugin_environment(access, plugin),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_EXEC_TIMEOUT,
        )
    except FileNotFoundError as error:
        hint = _one_line(plugin.get("installHint") or "install it, or name another context")
        raise ClusterError(f"{which} is not there: {hint.rstrip('.')}.") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(
            f"{which} took more than {_EXEC_TIMEOUT:g} s: run it by hand; it may want an answer."
        ) from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ClusterError(f"{which} cannot be run: {error!r}.") from error
    if done.returncode:
        said = _one_line(done.stderr) or _one_line(done.stdout) or "it said nothing"
        raise ClusterError(
            f"{which} failed with status {done.returncode}: {said.rstrip('.')}. Log in anew, or "
            "name another context."
        )
    try:
        answer = json.loads(done.stdout)
        status = answer["status"]
        if answer["apiVersion"] != plugin["apiVersion"]:
            raise ClusterError(
                f"{which} answered as {answer['apiVersion']}, but the kubeconfig expects "
                f"{plugin['apiVersion']}: write the context anew with your cluster's tool."
            )
    except (ValueError, TypeError, KeyError) as error:
        raise ClusterError(f"{which} answered with no ExecCredential.") from error
    if not isinstance(status, dict) or not (
        status.get("token") or status.get("clientCertificateData")
    ):
        raise ClusterError(f"{which} answered with neither a token nor a certificate.")
    return status


def _command(access: Access, plugin: Mapping[str, Any]) -> str:
    """Return the plugin's command; a path is resolved against the kubeconfig's folder."""
    command = str(plugin["command"])
    return str(access.user.folder / command) if os.sep in command else command


def _plugin_environment(access: Access, plugin: Mapping[str, Any]) -> dict[str, str]:
    spec: dict[str, Any] = {"interactive": False}
    if plugin.get("provideClusterInfo"):
        spec["cluster"] = {"server": access.server}
        if access.certificate_authority:
            authority = base64.b64encode(access.certificate_authority.encode()).decode()
            spec["cluster"]["certificate-authority-data"] = authority
    information = {"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "spec": spec}
    own = {str(item["name"]): str(item["value"]) for item in plugin.get("env") or []}
    return {**os.environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(information)}


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
