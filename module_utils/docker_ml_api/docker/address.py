"""Reads the address of a Docker engine, and explains connection errors.

This module opens no connections. All messages name `docker_engine`, the inventory's
variable, and what to change.
"""

from __future__ import annotations

import re
import shlex
import ssl
import urllib.parse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FORMS = (
    "empty (the engine of this machine), unix:///PATH, ssh://USER@HOST or ssh://USER@HOST:PORT, "
    "or tcp://HOST:2376"
)
TLS_PORT = 2376
TLS_FILES = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
# The command that the docker client itself runs over ssh to connect to an engine.
DIAL = ("docker", "system", "dial-stdio")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*|[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@\\+-]*")
_LAST_PORT = 65535


class EngineAddressError(ValueError):
    """An address or its settings cannot be used; the message is one sentence."""


@dataclass(frozen=True)
class Address:
    """Address of an engine: `kind` is local, unix, ssh or tcp; `path` is that of a socket."""

    kind: str = "local"
    user: str = ""
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def remote(self) -> bool:
        """Whether the engine is on another machine."""
        return self.kind in ("ssh", "tcp")

    @property
    def place(self) -> str:
        """Return the machine in the usual notation: ada@server, server:2376, [::1]:2376."""
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{user}{host}" + (f":{self.port}" if self.port else "")

    def __str__(self) -> str:
        """Return the address as it was written."""
        return f"unix://{self.path}" if self.kind == "unix" else f"{self.kind}://{self.place}"


@dataclass(frozen=True)
class Certificates:
    """The files with which a client and an engine authenticate each other."""

    ca: str
    cert: str
    key: str


def read_address(text: str) -> Address:
    """Return the address in docker_engine; raise EngineAddressError if it is invalid."""
    if not text:
        return Address()
    if password_in(text):
        # The message does not repeat the address, since it contains a secret.
        raise EngineAddressError(
            f"docker_engine holds a password, which would be seen by all: write it as {FORMS}, and "
            "log in with a key."
        )
    wrong = EngineAddressError(f"docker_engine must be {FORMS}; it is '{text}'.")
    try:
        parts = urllib.parse.urlsplit(text)
        port = parts.port or 0
    except ValueError:
        raise wrong from None
    if parts.scheme == "unix" and not parts.netloc and re.fullmatch(r"/[^\x00\s]+", parts.path):
        return Address("unix", path=parts.path)
    host, user = parts.hostname or "", parts.username or ""
    # Restore the case of the host, which urlsplit lowers but ssh's settings may depend on.
    host = next(iter(re.findall(re.escape(host), parts.netloc, re.IGNORECASE)), "")
    if (
        parts.scheme not in ("ssh", "tcp")
        or not _HOST.fullmatch(host)
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
        or (user and not (parts.scheme == "ssh" and _USER.fullmatch(user)))
        or re.search(r":0*$", parts.netloc)
    ):
        raise wrong
    return Address(parts.scheme, user, host, port or (TLS_PORT if parts.scheme == "tcp" else 0))


def password_in(text: str) -> str:
    """Return the password in an address, which should contain none; empty if there is none."""
    match = re.match(r"[^/]*//[^/@:]*:([^/@]+)@", text)
    return match.group(1) if match else ""


def read_certificates(folder: str, files: dict[str, str]) -> Certificates | None:
    """Return the files for TLS, each as given or from the folder; None if none is given.

    Raises EngineAddressError if one of them is missing.
    """
    if not folder and not any(files.values()):
        return None
    found = {
        name: files[name] or (str(Path(folder, usual)) if folder else "")
        for name, usual in TLS_FILES.items()
    }
    missing = [name for name, path in found.items() if not path]
    if missing:
        raise EngineAddressError(
            f"docker_engine_tls_{missing[0]} is not set: name that file too, or set "
            f"docker_engine_tls to the folder with {', '.join(TLS_FILES.values())}."
        )
    return Certificates(**found)


def check_certificates(address: Address, certificates: Certificates | None) -> Certificates:
    """Return the files; raise EngineAddressError if one is missing or cannot be read."""
    if certificates is None:
        raise EngineAddressError(
            f"docker_engine is {address}, which is used with TLS only, since whoever reaches an "
            "engine without it is root there: set docker_engine_tls to the folder with "
            f"{', '.join(TLS_FILES.values())}, or use ssh://."
        )
    for name in TLS_FILES:
        path = Path(getattr(certificates, name))
        try:
            path.read_bytes()
        except OSError as error:
            raise EngineAddressError(
                f"docker_engine is {address}, but {path} cannot be read ({error.strerror}): set "
                f"docker_engine_tls to the folder with {', '.join(TLS_FILES.values())}, or "
                f"docker_engine_tls_{name} to that file."
            ) from error
    return certificates


def read_arguments(text: str) -> list[str]:
    """Return the additional ssh arguments; raise EngineAddressError for an unclosed quote."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise EngineAddressError(
            f"docker_engine_ssh_args cannot be read ({error}): write it as on a command line, as "
            "in -i ~/.ssh/deploy -o ProxyJump=bastion."
        ) from None


def ssh_command(
    address: Address,
    arguments: Iterable[str],
    control: str,
    *,
    master: bool = False,
    port: str = "",
) -> list[str]:
    """Return the ssh command for a connection to the engine, or to a port of its machine.

    port: HOST:PORT; empty for the engine.
    master: whether the command logs in and shares its connection, through the socket `control`,
        with the other commands.

    ssh never prompts, and never waits without a timeout. If an option is given twice, ssh uses
    the first one, so the user's arguments override most of ours.
    """
    options = ["BatchMode=yes", "ConnectTimeout=15", "ServerAliveInterval=15"]
    ours = [f"ControlPath={control}", f"ControlMaster={'yes' if master else 'no'}"]
    ours += ["ControlPersist=no"]
    return [
        "ssh",
        "-T",
        *(word for option in ours for word in ("-o", option)),
        *arguments,
        *(word for option in options for word in ("-o", option)),
        *(["-l", address.user] if address.user else []),
        *(["-p", str(address.port)] if address.port else []),
        *(["-W", port] if port else []),
        "--",
        address.host,
        *([] if port else DIAL),
    ]


# Patterns in the output of ssh, the remote shell or the remote docker, and their meaning. The
# first match is used, since docker's own "permission denied" is not ssh's.
_SAID = (
    (
        r"permission denied while trying to connect to the docker|docker\.sock.*permission denied",
        "the user may not use the engine there: add the user to the group docker of that machine",
    ),
    (
        r"cannot connect to the docker daemon|error during connect|docker daemon is not running",
        "no engine runs there: start it",
    ),
    (
        r"docker[:']? (command )?not found|not found: docker|'docker' is not recognized",
        "a login without a terminal finds no docker command there: install it or correct its PATH",
    ),
    (
        r"host identification has changed",
        "that machine's key is not the known one: if that is right, ssh-keygen -R '{known}'",
    ),
    (
        r"host key verification failed",
        "that machine's key is not in ~/.ssh/known_hosts: log in once by hand, ssh {login}",
    ),
    (
        r"too many authentication failures|permission denied",
        "it accepts no key of this user: name one that it does, docker_engine_ssh_args='-i FILE'",
    ),
    (
        r"identity file .* not accessible|no such identity|bad permissions",
        "ssh cannot use its key: correct docker_engine_ssh_args or the file's mode",
    ),
    (r"connection refused", "nothing listens there: correct the port, or start sshd there"),
    (r"could not resolve hostname", "the name of that machine is unknown"),
    (
        r"timed out|no route to host|network is unreachable",
        "that machine does not answer: correct the name, or let the firewall pass ssh",
    ),
    (
        r"administratively prohibited|open failed",
        "nothing answers at that port there, or its sshd does not lead to it (AllowTcpForwarding)",
    ),
)


def explain_ssh(address: Address, said: str) -> str:
    """Return a sentence that explains the error output of ssh."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    words = lines[-1].rstrip(".") if lines else "it said nothing"
    login = (f"-p {address.port} " if address.port else "") + (
        f"{address.user}@{address.host}" if address.user else address.host
    )
    known = f"[{address.host}]:{address.port}" if address.port else address.host
    for pattern, meaning in _SAID:
        if match := re.search(f".*(?:{pattern}).*", said, re.IGNORECASE):
            words = (
                f"{meaning.format(login=login, known=known)} ({match.group().strip().rstrip('.')})"
            )
            break
    return f"docker_engine {address} cannot be reached: {words}."


def explain_tls(address: Address, certificates: Certificates, error: OSError | ValueError) -> str:
    """Return a sentence that explains why the connection with TLS failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = (
            f"its certificate is refused ({error.verify_message}): name the machine as the "
            "certificate does, and set docker_engine_tls_ca to the certificate of its signer, not "
            f"{certificates.ca}"
        )
    elif isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError)) and not (
        isinstance(error, ConnectionRefusedError)
    ):
        # The reason may have been sent, but the connection was closed before it could be read.
        reason = (
            f"it hangs up on {certificates.cert}, so it does not accept it or speaks no TLS: set "
            "docker_engine_tls_cert to one signed for it, or correct the port"
        )
    elif isinstance(error, ssl.SSLError):
        said = (error.reason or str(error)).replace("_", " ").lower()
        meaning = next(text for word, text in _TLS_SAID if word in said)
        reason = meaning.format(said=said, **asdict(certificates))
    elif isinstance(error, ConnectionRefusedError):
        reason = "nothing listens there: correct the port, or let that engine listen on tcp"
    elif isinstance(error, TimeoutError):
        reason = "it does not answer: correct the name, or let the firewall pass its port"
    else:
        reason = getattr(error, "strerror", None) or str(error)
    return f"docker_engine {address} cannot be reached: {reason}."


_TLS_SAID = (
    (
        "alert",
        "it does not accept {cert} ({said}): set docker_engine_tls_cert to one signed for it",
    ),
    (
        "mismatch",
        "{cert} and {key} are no pair: correct docker_engine_tls_cert or docker_engine_tls_key",
    ),
    ("wrong version", "what listens there does not speak TLS: name the port that does"),
    ("record layer", "what listens there does not speak TLS: name the port that does"),
    ("", "TLS fails ({said}): fix what docker_engine_tls names"),
)


def explain_answer(address: Address, answer: str) -> str:
    """Return a sentence on a server that answers, but not as an engine."""
    return (
        f"docker_engine {address} cannot be used: what answers there is no Docker engine "
        f"({answer or 'it said nothing'})."
    )


def environment(address: Address, socket: str) -> dict[str, str]:
    """Return the environment variables through which every Docker client finds the engine.

    Variables that could direct a client elsewhere are set to the empty string, except those in
    `check_environment`, whose empty value some clients take as false and others reject.

    socket: the socket on this machine that connects to a remote engine.
    """
    if address.kind == "local":
        return {}
    return {
        "DOCKER_HOST": f"unix://{socket or address.path}",
        "DOCKER_CONTEXT": "",
        "DOCKER_CERT_PATH": "",
    }


def check_environment(address: Address, environ: Mapping[str, str]) -> None:
    """Raise EngineAddressError if a client would speak TLS to the engine's socket."""
    for name in ("DOCKER_TLS_VERIFY", "DOCKER_TLS"):
        if name in environ and address.kind != "local":
            raise EngineAddressError(
                f"{name} is set in the environment, where it is not for docker_engine ({address}): "
                f"unset {name} and run again."
            )


def program_of(argv: Sequence[str]) -> str:
    """Return the name of the program that a command line runs, directly or by an interpreter."""
    names = [Path(word).name for word in argv[:2]]
    if len(names) > 1 and re.match(r"python|pypy", names[0]):
        return names[1]
    return names[0] if names else ""
