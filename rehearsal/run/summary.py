"""A readable summary of a run: requests to Google, time, sockets."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rehearsal.run import daemons

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rehearsal.run.daemons import Sampled
    from rehearsal.run.sockets import Destination, Watched

    Span = tuple[float, float]

OWN_SECONDS_AIM = 45

# Actions of Ansible itself, during which no module runs.
_ANSIBLES_OWN = frozenset(
    f"ansible.builtin.{name}"
    for name in (
        "add_host", "assert", "debug", "fail", "group_by", "import_role", "import_tasks",
        "include_role", "include_tasks", "include_vars", "meta", "set_fact",
        "validate_argument_spec",
    )
)  # fmt: skip

_WAITING = ("container_health", "workload_address", "workload_rollout")
_IMAGES = (
    "base_images",
    "community.docker.docker_image",
    "community.docker.docker_login",
    "debian_image",
    "debian_root_filesystems",
    "image_build",
)


def requests(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the number of calls of each method, the injected faults, and the problems."""
    mutating = sum(1 for entry in entries if entry["mutating"])
    lines = [f"Requests to Google: {len(entries)}; {mutating} mutating requests (*)"]
    counted = Counter(
        (entry["method_id"] or f"refused: {entry['host']}", entry["mutating"]) for entry in entries
    )
    lines += [
        f"{count:6} {'*' if mutates else ' '} {name}"
        for (name, mutates), count in sorted(counted.items())
    ]
    for title, key in (("Faults", "fault"), ("Problems of the double", "problem")):
        found = Counter(entry[key] for entry in entries if entry[key])
        shown = ", ".join(f"{count} {name}" for name, count in sorted(found.items()))
        lines.append(f"{title}: {shown or 'none'}")
    return lines


@dataclass(frozen=True)
class Time:
    """The seconds of a run by category: each counts in the first category that applies."""

    google: float
    """Operations of Google were running."""
    starting: float
    """Waiting for pods and containers."""
    images: float
    """Images were built, tagged or pushed."""
    modules: float
    """Another module was running."""
    ansible: float
    """No module was running: startup, templates, conditions, results."""

    @property
    def own(self) -> float:
        """The time without Google's operations."""
        return self.starting + self.images + self.modules + self.ansible

    @classmethod
    def of(
        cls,
        run: Span,
        operations: Iterable[Mapping[str, Any]],
        spans: Iterable[tuple[str, float, float]],
    ) -> Time:
        """Split a run's time; `operations` have a start and an end (None: still running)."""
        began, ended = run
        google = [
            (each["start"], ended if each["end"] is None else each["end"]) for each in operations
        ]
        kinds: tuple[list[Span], ...] = (google, [], [], [])
        for action, start, end in spans:
            if action not in _ANSIBLES_OWN:
                kinds[_kind(action)].append((start, end))
        known: list[Span] = []
        until = [0.0]
        for kind in kinds:
            known += kind
            until.append(_covered(known, run))
        until.append(ended - began)
        google_part, starting, images, modules, ansible = (b - a for a, b in pairwise(until))
        return cls(google_part, starting, images, modules, ansible)

    def lines(self) -> list[str]:
        """Return readable lines."""
        whole = self.google + self.own
        aim = f"less than {OWN_SECONDS_AIM} s is the aim"
        return [
            f"Time: {whole:.1f} s, of it {self.own:.1f} s beside operations of Google ({aim})",
            f"{self.google:8.1f} s operations of Google",
            f"{self.starting:8.1f} s pods and containers come up",
            f"{self.images:8.1f} s images are built and pushed",
            f"{self.modules:8.1f} s other modules are at work",
            f"{self.ansible:8.1f} s Ansible itself: start, templates, conditions, results",
        ]


def _kind(action: str) -> int:
    """Return the index of the field of `Time` to which the module's time belongs."""
    if action in _WAITING:
        return 1
    return 2 if action.startswith(_IMAGES) else 3


def _covered(spans: Iterable[Span], within: Span) -> float:
    """Return the total time covered by at least one span."""
    total, until = 0.0, within[0]
    for start, end in sorted(spans):
        since, last = max(start, until), min(end, within[1])
        if last > since:
            total += last - since
            until = last
    return total


def sockets(watched: Watched, sampled: Sampled) -> tuple[list[str], bool]:
    """Return lines about connections, and whether the rehearsal itself stayed on this machine."""
    outside = {each: n for each, n in watched.reached.items() if each.outside}
    inside = watched.reached.total() - sum(outside.values())
    own = {each: n for each, n in outside.items() if not each.for_packages}
    packages = {each: n for each, n in outside.items() if each.for_packages}
    engines = (daemons.ENGINE, daemons.CONTAINERS)
    seen = {each: n for each, n in sampled.reached.items() if each[0] not in engines}
    engine = {each: n for each, n in sampled.reached.items() if each[0] in engines}

    lines = ["Sockets outside 127.0.0.0/8:"]

    def add(count: int, whose: str, destinations: Iterable[str]) -> None:
        lines.append(f"{count:6}   {whose}")
        lines.extend(f"           {each}" for each in destinations)

    noted = f"the kernel noted every one: {inside} to 127.0.0.0/8, {watched.local} to Unix sockets"
    add(sum(own.values()), f"of the run ({noted})", _times(own))
    if packages:
        whose = "of its downloads of packages, for base images and the engine"
        add(sum(packages.values()), whose, _times(packages))
    sampled_how = f"sampled {sampled.samples} times, so one of a moment can be missed"
    add(len(seen), f"of double, Kubernetes and registry ({sampled_how})", map(_sampled, seen))
    watched_how = "" if sampled.containers_watched else "; containers NOT watched: no nf_conntrack"
    whose = f"of the Docker engine and its builds (sampled{watched_how})"
    add(len(engine), whose, map(_sampled, engine))
    if watched.outliving:
        lines.append(
            f"Not watched to its end, since it still runs: {', '.join(watched.outliving)}. "
            "It cannot open sockets any more: start it again."
        )
    return lines, not (own or seen or watched.outliving)


def _times(destinations: Mapping[Destination, int]) -> list[str]:
    return [f"{count} x {each}" for each, count in sorted(destinations.items())]


def _sampled(each: tuple[str, str, int]) -> str:
    who, address, port = each
    return f"{who} to {address}:{port}"
