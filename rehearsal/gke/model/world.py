"""The model of Google's side: answers one call at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rehearsal.gke.call import Answer, NotModelled
from rehearsal.gke.model import (
    cluster_updates,
    clusters,
    compute,
    director,
    effects,
    kubernetes,
    node_pools,
    operations,
    other_apis,
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
    **compute.HANDLERS,
    **other_apis.HANDLERS,
}


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Return the seconds since 1970."""


class World:
    """Google's side of the APIs that a GKE run calls; see `rehearsal.gke.call.World`."""

    def __init__(self, clock: Clock, settings: Settings | Mapping[str, Any] | None = None) -> None:
        """Start with an empty state.

        :raises ValueError: unknown settings.
        """
        self.clock = clock
        self.state = State(Settings.of(settings))
        self.reader: kubernetes.Reader | None = None
        """Reads the Kubernetes behind the clusters, if there is one."""
        if self.settings.kubeconfig:
            self.reader = kubernetes.reader(Path(self.settings.kubeconfig))

    @property
    def settings(self) -> Settings:
        """The rehearsal's settings; `control("set", …)` changes them."""
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
            director.step_in(self.state, call, at)
            if call.api == "compute" or call.method_id.endswith("clusters.delete"):
                self._look()
            return Answer(200, handler(self.state, call, at))
        except Refused as refused:
            return refused.answer

    def attach(self, cluster: str, kind: str, /, **fields: Any) -> list[str]:
        """Add a Service, Ingress or Volume to a cluster ("name" or "location/name").

        Returns the links of the resources that GKE creates for it. The fields are those of
        `attachments.FIELDS`.

        :raises ValueError: unknown cluster, kind or field.
        """
        answer = self.control("attach", {"cluster": cluster, "object": kind, **fields})
        made: list[str] = answer["made"]
        return made

    def control(self, action: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Perform one of `director.ACTIONS`.

        :raises ValueError: unknown action or arguments.
        """
        self._settle()
        return director.direct(self.state, action, arguments)

    def dump(self) -> dict[str, Any]:
        """Return the persistent state as JSON."""
        return self.state.dump()

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `dump` returned."""
        self.state.load(dict(state))

    def _settle(self) -> None:
        """Apply the effects of the time that has passed."""
        self.state.now = self.clock.now()
        effects.settle(self.state)
        compute.settle(self.state)

    def _look(self) -> None:
        """Synchronize the running clusters' cloud resources with the Kubernetes behind them.

        While that does not answer, the resources remain as they are, as with GKE's controllers.
        """
        running = [each for each in self.state.clusters.values() if each["status"] != "STOPPING"]
        running = [each for each in running if each["ready"]]
        if self.reader is None or not running:
            return
        try:
            objects = self.reader()
        except OSError as error:
            self.state.unread = f"{type(error).__name__}: {error}"
            return
        self.state.unread = ""
        for cluster in running:
            kubernetes.synchronize(self.state, cluster, objects)
