"""The model of Google's side: answers one call at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from rehearsal.gke.call import Answer, NotModelled
from rehearsal.gke.model import (
    cluster_updates,
    clusters,
    effects,
    node_pools,
    operations,
    permissions,
    target,
)
from rehearsal.gke.model.refusals import Refused
from rehearsal.gke.model.settings import Settings
from rehearsal.gke.model.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rehearsal.gke.call import Call

    Handler = Callable[[State, Call, target.Target], dict[str, Any]]

HANDLERS: dict[str, Handler] = {
    **clusters.HANDLERS,
    **cluster_updates.HANDLERS,
    **node_pools.HANDLERS,
    **operations.HANDLERS,
}


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Return the seconds since 1970."""


class World:
    """Google's side of the APIs that a GKE run calls; see `rehearsal.gke.call.World`."""

    def __init__(self, clock: Clock, settings: Settings | Mapping[str, Any] | None = None) -> None:
        """Begin with nothing.

        :raises ValueError: settings that do not exist.
        """
        self.clock = clock
        self.state = State(Settings.of(settings))

    @property
    def settings(self) -> Settings:
        """What the rehearsal chose; may be changed at any time."""
        return self.state.settings

    def call(self, call: Call) -> Answer:
        """Answer a call."""
        handler = HANDLERS.get(call.method_id)
        if handler is None:
            raise NotModelled(call.method_id)
        self._settle()
        at = target.of(call)
        try:
            permissions.check(self.state, call, at)
            return Answer(200, handler(self.state, call, at))
        except Refused as refused:
            return refused.answer

    def _settle(self) -> None:
        """Let the time that has passed take effect."""
        self.state.now = self.clock.now()
        effects.settle(self.state)

    def dump(self) -> dict[str, Any]:
        """Return everything that outlives a process, as JSON."""
        return self.state.dump()

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `dump` once returned."""
        self.state.load(dict(state))

    def control(self, action: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Do what only the rehearsal's director can.

        :raises ValueError: no such action.
        """
        message = f"no such action: {action} {dict(arguments)}"
        raise ValueError(message)
