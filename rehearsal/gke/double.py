"""The double as a whole: the model, accounts, persistent state and the director's control API."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from rehearsal.gke import accounts, layout, pki
from rehearsal.gke.accounts import Account, Accounts
from rehearsal.gke.clock import RealClock
from rehearsal.gke.faults import Faults, fault_from
from rehearsal.gke.frontend import Frontend
from rehearsal.gke.images import Images
from rehearsal.gke.requestlog import RequestLog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rehearsal.gke.call import Clock, World
    from rehearsal.gke.clock import StandingClock
    from rehearsal.gke.layout import Layout

    MakeWorld = Callable[[Clock, Mapping[str, Any]], World]

_DEFAULT_SCOPES = (accounts.CLOUD_PLATFORM, "https://www.googleapis.com/auth/userinfo.email")


@dataclass
class Settings:
    """The settings chosen by `up`."""

    project: str = layout.PROJECT
    project_number: str = layout.PROJECT_NUMBER
    service_account: str = layout.SERVICE_ACCOUNT
    token_seconds: float = 3600.0
    endpoint: str = str(layout.CLUSTER_ENDPOINT)
    """The address of every cluster's API server."""
    cluster_authority: str = ""
    """The PEM of that server's CA in base64; empty: a CA of the double."""
    registry: str = ""
    """URL of the registry that stores images pushed to Artifact Registry; empty: there is none, and
    requests to Artifact Registry's hosts are rejected."""
    world: dict[str, Any] = field(default_factory=dict)
    """Further settings of the model (`rehearsal.gke.model.settings`)."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Settings:
        """Return the settings; options that are not the server's are passed to the model."""
        own = {each.name for each in fields(cls)}
        of_world = {name: value for name, value in given.items() if name not in own}
        mine = {name: value for name, value in given.items() if name in own}
        mine["world"] = {**mine.get("world", {}), **of_world}
        return cls(**mine)


class Double:
    """The double without its sockets."""

    def __init__(
        self,
        paths: Layout,
        settings: Settings,
        clock: RealClock | StandingClock,
        make_world: MakeWorld | None = None,
    ) -> None:
        """Create missing files in the folder and restore the state of a former process."""
        self.paths = paths
        self.settings = settings
        self.clock = clock
        self.plain_url = f"http://{layout.ADDRESS}:{layout.PLAIN_PORT}"
        self._make_world = make_world or _model
        paths.folder.mkdir(parents=True, exist_ok=True)
        pki.ensure(paths)
        self.tls = pki.server_context(paths)
        self.log = RequestLog(paths.requests)
        self.accounts = Accounts(
            [_ensure_account(paths, settings)],
            clock,
            token_seconds=settings.token_seconds,
            audiences=self._audiences,
        )
        self.faults = Faults(clock)
        self._saved = ""
        self.frontend = Frontend(
            self._new_world(), self.accounts, self.faults, self.log, clock, self
        )
        self.images = Images(self, settings.registry) if settings.registry else None
        self._load()

    @property
    def world(self) -> World:
        """The model of Google's side."""
        return self.frontend.world

    def save(self) -> None:
        """Write the state atomically if it has changed."""
        with self.frontend.lock:
            state = {
                "world": self.world.dump(),
                "tokens": self.accounts.dump(),
                "clock_offset": getattr(self.clock, "offset", 0.0),
            }
            text = json.dumps(state)
            if text == self._saved:
                return
            write_private(self.paths.state, text)
            self._saved = text

    def access_token(self, scopes: tuple[str, ...] = _DEFAULT_SCOPES) -> str:
        """Return an access token issued to the account without a request."""
        token = self.accounts.issue(self.settings.service_account, scopes)
        self.save()
        return token.value

    def control(self, verb: str, path: str, arguments: Mapping[str, Any]) -> Any:
        """Handle a request to the director's control API.

        :raises ValueError: unknown request; the message lists the known ones.
        """
        action, _, rest = path.partition("/")
        if action == "world" and verb == "POST":
            with self.frontend.lock:
                answer = self.world.control(rest, arguments)
                self.save()
            return answer
        desk: dict[tuple[str, str], Callable[[Mapping[str, Any]], Any]] = {
            ("GET", "health"): lambda _: {
                "project": self.settings.project,
                "folder": str(self.paths.folder),
            },
            ("GET", "world"): lambda _: self.world.dump(),
            ("GET", "faults"): lambda _: self.faults.dump(),
            ("POST", "faults"): lambda given: self.faults.add(fault_from(given)),
            ("DELETE", "faults"): lambda _: self.faults.clear(),
            ("GET", "log"): lambda given: self.log.entries(mutating=_mutating(given)),
            ("DELETE", "log"): lambda _: self.log.clear(),
            ("GET", "clock"): lambda _: {"now": self.clock.now()},
            ("POST", "clock"): self._advance,
            ("POST", "token"): lambda given: {
                "access_token": self.access_token(tuple(given.get("scopes", _DEFAULT_SCOPES)))
            },
            ("POST", "reset"): lambda _: self._reset(),
        }
        do = desk.get((verb, path))
        if do is None:
            known = ", ".join(f"{each} {name}" for each, name in desk)
            raise ValueError(f"No {verb} {path} here, but {known}, POST world/ACTION.")
        return do(arguments) or {}

    def _audiences(self) -> tuple[str, ...]:
        return (accounts.TOKEN_URI, f"{self.plain_url}/oauth2/token")

    def _advance(self, arguments: Mapping[str, Any]) -> dict[str, float]:
        seconds = arguments.get("advance")
        if not isinstance(seconds, int | float):
            raise ValueError('clock takes {"advance": SECONDS}.')  # noqa: TRY004 - the client's
        self.clock.advance(seconds)
        self.save()
        return {"now": self.clock.now()}

    def _reset(self) -> None:
        with self.frontend.lock:
            self.frontend.world = self._new_world()
            self.faults.clear()
            self.log.clear()
            self.save()

    def _new_world(self) -> World:
        settings = self.settings
        authority = (
            settings.cluster_authority
            or base64.b64encode(pki.clusters_authority(self.paths)).decode()
        )
        return self._make_world(
            self.clock,
            {
                "project": settings.project,
                "project_number": settings.project_number,
                "endpoint": settings.endpoint,
                "ca_certificate": authority,
                **settings.world,
            },
        )

    def _load(self) -> None:
        if not self.paths.state.exists():
            return
        self._saved = self.paths.state.read_text(encoding="utf-8")
        state = json.loads(self._saved)
        if isinstance(self.clock, RealClock):
            self.clock.offset = state["clock_offset"]
        self.accounts.load(state["tokens"])
        self.world.load(state["world"])


def write_private(path: Path, text: str) -> None:
    """Write a file atomically, readable only by its owner."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def _model(clock: Clock, settings: Mapping[str, Any]) -> World:
    from rehearsal.gke.model import World as Model  # noqa: PLC0415 - tests have worlds of their own

    world: World = Model(clock, settings)
    return world


def _ensure_account(paths: Layout, settings: Settings) -> Account:
    """Return the account whose key is in the folder; create both if missing."""
    known = paths.certificates / "account.json"
    if known.exists() and paths.key_file.exists():
        account = Account(**json.loads(known.read_text(encoding="utf-8")))
        if account.email == settings.service_account:
            return account
    account, key = accounts.make_account(settings.service_account, settings.project)
    write_private(paths.key_file, json.dumps(key, indent=2))
    write_private(known, json.dumps(asdict(account)))
    return account


def _mutating(arguments: Mapping[str, Any]) -> bool | None:
    return {"true": True, "false": False}.get(str(arguments.get("mutating")))
