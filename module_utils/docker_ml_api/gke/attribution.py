"""Determines which compute resources a GKE cluster left behind, and with what certainty.

Each resource has marks (see naming). The first marks come from what is known about the cluster. A
resource with one of them belongs to the cluster, and so do its other marks and the resources that
it refers to. For example, the node tag on the firewall rule of a load balancer leads to the
forwarding rule, the target pool and the address of that name.

certain   the cluster's id, the UIDs read while it existed, or labels with name, location and ours
likely    the name: the node tag of a cluster of this name if no such cluster exists, or the
          labels with name and location alone
possible  the name in a place that may also match the names of other clusters

Resources of an existing cluster, and resources older than the cluster, are never included.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.docker_ml_api.gke import lifetime, naming
from ansible.module_utils.docker_ml_api.gke.naming import BALANCER, SYSTEM, TAG, UID, Mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from ansible.module_utils.docker_ml_api.gke.naming import Resource

CERTAIN = "certain"
LIKELY = "likely"
POSSIBLE = "possible"
GLOBAL = "global"
_MARK_LENGTH = 8


class Kind(NamedTuple):
    """A kind of resource: its display name, and its names in the compute API and gcloud.

    aggregated: whether one list covers all zones and regions.
    data: whether it contains data that would be lost.
    """

    title: str
    collection: str
    gcloud: str
    aggregated: bool = True
    data: bool = False


# In deletion order: resources that refer to others come first. Firewall rules are last, since their
# node tags identify the owner of the others, also in a later run.
KINDS = (
    Kind("forwarding rule", "forwardingRules", "forwarding-rules"),
    Kind("target HTTP proxy", "targetHttpProxies", "target-http-proxies"),
    Kind("target HTTPS proxy", "targetHttpsProxies", "target-https-proxies"),
    Kind("target pool", "targetPools", "target-pools"),
    Kind("URL map", "urlMaps", "url-maps"),
    Kind("backend service", "backendServices", "backend-services"),
    Kind("health check", "healthChecks", "health-checks"),
    Kind("HTTP health check", "httpHealthChecks", "http-health-checks", aggregated=False),
    Kind("network endpoint group", "networkEndpointGroups", "network-endpoint-groups"),
    Kind("instance group", "instanceGroups", "instance-groups unmanaged"),
    Kind("SSL certificate", "sslCertificates", "ssl-certificates"),
    Kind("address", "addresses", "addresses"),
    Kind("disk", "disks", "disks", data=True),
    Kind("firewall rule", "firewalls", "firewall-rules", aggregated=False),
)
_DISKS = "disks"
_GROUPS = "instanceGroups"


@dataclass(frozen=True)
class Identity:
    """What is known about the cluster; data read while it existed makes the attribution certain.

    cluster_id: the GKE API's `id`.
    created: its creation time.
    ours: whether it had our labels; None if unknown.
    uids: those in the ConfigMap ingress-uid.
    system_uids: that of the namespace kube-system.
    load_balancers: their names.
    disks: those of its volumes.
    groups: names of its node pools' instance groups.
    keep: names of disks that were kept intentionally.
    """

    name: str
    location: str
    cluster_id: str = ""
    created: datetime | None = None
    ours: bool | None = None
    uids: tuple[str, ...] = ()
    system_uids: tuple[str, ...] = ()
    load_balancers: tuple[str, ...] = ()
    disks: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    @property
    def marks(self) -> set[Mark]:
        """The marks of resources that certainly belong to the cluster."""
        found = {naming.uid_mark(uid) for uid in self.uids}
        found |= {naming.system_mark(uid) for uid in self.system_uids}
        found |= {Mark(BALANCER, name) for name in self.load_balancers}
        if self.cluster_id:
            found.add(Mark(TAG, naming.node_tag(self.name, self.cluster_id)))
        return found


def identity_of(cluster: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """Return an existing cluster's identity (from the API's JSON), for use after its deletion."""
    groups = [
        str(url).rpartition("/")[2]
        for pool in cluster.get("nodePools") or []
        for url in pool.get("instanceGroupUrls") or []
    ]
    return {
        "cluster_id": str(cluster.get("id") or ""),
        "created": str(cluster.get("createTime") or ""),
        "ours": is_ours(cluster.get("resourceLabels") or {}, labels),
        # The name of the group is that of its manager, with or without the suffix -grp.
        "groups": sorted({*groups, *(one.removesuffix("-grp") for one in groups)}),
    }


def read_identity(name: str, location: str, *known: Mapping[str, Any]) -> Identity:
    """Return the merged Identity from what several modules returned while the cluster existed."""

    def texts(key: str) -> tuple[str, ...]:
        return tuple(sorted({str(one) for part in known for one in part.get(key) or []}))

    def first(key: str) -> Any:
        return next((part[key] for part in known if part.get(key) not in (None, "")), None)

    created = first("created")
    return Identity(
        name,
        location,
        str(first("cluster_id") or ""),
        lifetime.read_moment(created) if created else None,
        first("ours"),
        *(
            texts(key)
            for key in ("uids", "system_uids", "load_balancers", "disks", "groups", "keep")
        ),
    )


def is_ours(found: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Return whether the labels of a resource include all of ours."""
    return bool(labels) and labels.items() <= found.items()


@dataclass(frozen=True)
class Found:
    """A resource of the compute API: its kind, scope (`global`, `regions/R`, `zones/Z`), JSON."""

    kind: Kind
    scope: str
    resource: Resource

    @property
    def name(self) -> str:
        """The name of the resource."""
        return str(self.resource["name"])

    @property
    def path(self) -> str:
        """The path of the resource, unique in the project."""
        return f"{self.scope}/{self.kind.collection}/{self.name}"

    def command(self, project: str) -> str:
        """Return the command that deletes the resource by hand."""
        words = ["gcloud", "compute", *self.kind.gcloud.split(), "delete", self.name]
        place, _, value = self.scope.partition("/")
        if value:
            words += [f"--{place.removesuffix('s')}", value]
        elif self.kind.aggregated:
            words.append("--global")
        return shlex.join([*words, "--project", project])


@dataclass(frozen=True)
class Leftover:
    """A resource that is attributed to the cluster, with the certainty and the reason.

    sweep: whether it may be deleted.
    kept: why not, as text.
    """

    found: Found
    attribution: str
    why: str
    sweep: bool = False
    kept: str = ""

    def public(self, project: str) -> dict[str, Any]:
        """Return the leftover in the form of the modules' results."""
        return {
            "kind": self.found.kind.title,
            "name": self.found.name,
            "scope": self.found.scope,
            "path": self.found.path,
            "made_for": naming.made_for(self.found.resource),
            "attribution": self.attribution,
            "why": self.why,
            "sweep": self.sweep,
            "kept": self.kept,
            "command": self.found.command(project),
        }


@dataclass
class Attribution:
    """The cluster's leftovers in deletion order, and related resources.

    retained: disks that were kept intentionally.
    unattributed: resources that Kubernetes created for an unknown cluster.
    """

    leftovers: list[Leftover] = field(default_factory=list)
    retained: list[Leftover] = field(default_factory=list)
    unattributed: list[Leftover] = field(default_factory=list)


def attribute(
    identity: Identity,
    resources: Sequence[Found],
    living: Sequence[Mapping[str, Any]],
    labels: Mapping[str, str],
) -> Attribution:
    """Determine which of the resources the cluster left behind.

    living: the project's clusters as the GKE API describes them.
    labels: our labels.
    """
    return _Judge(identity, resources, living, labels).judge()


class _Judge:
    def __init__(
        self,
        identity: Identity,
        resources: Sequence[Found],
        living: Sequence[Mapping[str, Any]],
        labels: Mapping[str, str],
    ) -> None:
        self._identity = identity
        self._resources = resources
        self._living = living
        self._labels = labels
        self._marks = {one.path: naming.marks_of(one.resource) for one in resources}
        self._taken: dict[str, tuple[str, str]] = {}

    def judge(self) -> Attribution:
        others: dict[str, str] = {}
        for cluster in self._living:
            # Everything of an existing cluster belongs to it, including this cluster.
            title = f"{cluster.get('name')} in {cluster.get('location')}"
            for path in self._of_living(cluster):
                others[path] = title
        free = [one for one in self._resources if one.path not in others]
        self._take(free)
        answer = Attribution()
        for one in free:
            if one.kind.data and one.name in self._identity.keep:
                why = "its volume's reclaim policy is Retain"
                answer.retained.append(Leftover(one, CERTAIN, why))
            elif one.path in self._taken:
                answer.leftovers.append(self._leftover(one))
            elif naming.is_kubernetes(one.resource):
                why = "Kubernetes made it, but nothing tells of which cluster"
                answer.unattributed.append(Leftover(one, "", why))
        order = {kind.collection: number for number, kind in enumerate(KINDS)}
        for items in (answer.leftovers, answer.retained, answer.unattributed):
            items.sort(key=lambda item: (order[item.found.kind.collection], item.found.path))
        return answer

    def _of_living(self, cluster: Mapping[str, Any]) -> set[str]:
        name, location = str(cluster.get("name")), str(cluster.get("location"))
        cluster_id = str(cluster.get("id") or "")
        marks = {Mark(TAG, naming.node_tag(name, cluster_id))} if cluster_id else set()
        groups = set(identity_of(cluster, self._labels)["groups"])
        seeds = {
            one.path
            for one in self._resources
            if _labelled(one, name, location)
            or (one.kind.collection == _GROUPS and one.name in groups)
        }
        return {*seeds, *self._closure(self._resources, marks, seeds)}

    def _closure(
        self, resources: Iterable[Found], marks: set[Mark], seeds: Iterable[str] = ()
    ) -> dict[str, str]:
        """Return the paths that marks and seeds lead to, each with the reason."""
        resources = [one for one in resources if naming.is_kubernetes(one.resource)]
        known = set(marks)
        members: dict[str, str] = {}
        links: dict[str, str] = {}
        seeds = set(seeds)
        while True:
            before = len(members)
            for one in resources:
                if one.path in members:
                    continue
                shared = next((m for m in self._marks[one.path] if _has(known, m)), None)
                if shared:
                    members[one.path] = _mark_words(shared)
                elif one.path in seeds:
                    members[one.path] = "it is labelled so"
                elif one.path in links:
                    members[one.path] = f"{links[one.path]} refers to it"
                else:
                    continue
                known |= self._marks[one.path]
                for path in _references(one.resource):
                    links.setdefault(path, f"{one.kind.title} {one.name}")
            if len(members) == before:
                return members

    def _take(self, free: Sequence[Found]) -> None:
        identity = self._identity
        self._grasp(self._closure(free, identity.marks), CERTAIN)
        self._take_labelled(free)
        self._take_listed(free)
        if not identity.cluster_id:
            self._take_by_tag(free)
        self._take_by_name(free)

    def _grasp(self, members: Mapping[str, str], attribution: str) -> None:
        for path, why in members.items():
            self._taken.setdefault(path, (attribution, why))

    def _take_labelled(self, free: Sequence[Found]) -> None:
        """Attribute resources labelled with name and location, and what their id leads to."""
        identity = self._identity
        for one in free:
            if not _labelled(one, identity.name, identity.location):
                continue
            found = one.resource.get("labels") or {}
            cluster_id = naming.id_of_label(found.get(naming.ID_LABEL, ""))
            same = bool(cluster_id) and cluster_id == identity.cluster_id
            if cluster_id and identity.cluster_id and not same:
                why = "its labels name this cluster, but the id of an earlier one"
                self._grasp({one.path: why}, POSSIBLE)
                continue
            ours = is_ours(found, self._labels)
            attribution = CERTAIN if ours or same else LIKELY
            why = f"its labels name cluster {identity.name} in {identity.location}"
            why += ", with its id" if same else ""
            why += " and carry this project's" if ours else ""
            self._grasp({one.path: why}, attribution)
            if cluster_id:
                tag = Mark(TAG, naming.node_tag(identity.name, cluster_id))
                self._grasp(self._closure(free, {tag}), attribution)

    def _take_listed(self, free: Sequence[Found]) -> None:
        for one in free:
            collection = one.kind.collection
            if (collection == _DISKS and one.name in self._identity.disks) or (
                collection == _GROUPS and one.name in self._identity.groups
            ):
                self._grasp({one.path: "the cluster had it while it lived"}, CERTAIN)

    def _take_by_tag(self, free: Sequence[Found]) -> None:
        """Attribute what a node tag of this name leads to, if it is in this region only."""
        identity = self._identity
        if any(cluster.get("name") == identity.name for cluster in self._living):
            # The tag does not contain the location: it may be a predecessor of that cluster.
            attribution = POSSIBLE
        else:
            attribution = LIKELY
        tags = {
            mark.value
            for one in free
            for mark in self._marks[one.path]
            if mark.kind == TAG and naming.tag_hash(mark.value, identity.name)
        }
        here = naming.region_of(identity.location)
        for tag in sorted(tags):
            members = self._closure(free, {Mark(TAG, tag)})
            regions = {naming.region_of(one.scope) for one in free if one.path in members} - {""}
            if regions - {here}:
                continue
            sure = bool(regions) or len(tags) == 1
            self._grasp(members, attribution if sure else POSSIBLE)

    def _take_by_name(self, free: Sequence[Found]) -> None:
        identity = self._identity
        here = naming.region_of(identity.location)
        for one in free:
            if naming.region_of(one.scope) not in {"", here}:
                continue
            if one.kind.collection == _GROUPS and naming.is_pool_group(one.name, identity.name):
                why = "its name is that of a node pool's group, of this or a longer name"
                self._grasp({one.path: why}, POSSIBLE)
            labels = one.resource.get("labels") or {}
            if labels.get(naming.CLUSTER_LABEL) == identity.name and not labels.get(
                naming.LOCATION_LABEL
            ):
                why = f"its label names a cluster {identity.name}, but not where that was"
                self._grasp({one.path: why}, POSSIBLE)
            nodes = [str(url).rpartition("/")[2] for url in one.resource.get("instances") or []]
            if any(node.startswith(f"gke-{identity.name}-") for node in nodes):
                why = f"its instances' names begin with gke-{identity.name}-"
                self._grasp({one.path: why}, POSSIBLE)

    def _leftover(self, one: Found) -> Leftover:
        attribution, why = self._taken[one.path]
        identity = self._identity
        if identity.created is not None and _older(one.resource, identity.created):
            attribution, why = POSSIBLE, f"{why}, but it is older than the cluster"
        kept = self._kept(one, attribution)
        return Leftover(one, attribution, why, sweep=not kept, kept=kept)

    def _kept(self, one: Found, attribution: str) -> str:
        users = [str(url).rpartition("/")[2] for url in one.resource.get("users") or []]
        if self._identity.ours is False:
            return "the cluster was not made by this project"
        if attribution == POSSIBLE:
            return "it may be another cluster's"
        if one.kind.data and users:
            return f"{users[0]} uses it"
        if one.kind.data and attribution != CERTAIN:
            return "it holds data, and whether the cluster was this project's is not certain"
        return ""


def _has(known: set[Mark], mark: Mark) -> bool:
    if mark in known:
        return True
    return mark.kind == UID and any(
        one.kind == UID
        and min(len(one.value), len(mark.value)) < _MARK_LENGTH
        and (one.value.startswith(mark.value) or mark.value.startswith(one.value))
        for one in known
    )


_WORDS: dict[str, Callable[[str], str]] = {
    TAG: lambda value: f"it has the node tag {value}",
    UID: lambda value: f"its name holds the cluster's UID {value}",
    SYSTEM: lambda value: f"it holds the hash {value} of the cluster's UID",
    BALANCER: lambda value: f"it is of load balancer {value}",
}


def _mark_words(mark: Mark) -> str:
    return _WORDS[mark.kind](mark.value)


def _labelled(one: Found, name: str, location: str) -> bool:
    labels = one.resource.get("labels") or {}
    keys = (naming.CLUSTER_LABEL, naming.LOCATION_LABEL)
    return tuple(labels.get(key) for key in keys) == (name, location)


def _references(resource: Mapping[str, Any]) -> list[str]:
    """Return the paths in the project that a resource refers to."""
    urls = [
        resource.get("target"),
        resource.get("backendService"),
        resource.get("urlMap"),
        resource.get("defaultService"),
        *(resource.get("healthChecks") or []),
        *(resource.get("sslCertificates") or []),
        *(one.get("group") for one in resource.get("backends") or []),
    ]
    for matcher in resource.get("pathMatchers") or []:
        urls.append(matcher.get("defaultService"))
        urls += [rule.get("service") for rule in matcher.get("pathRules") or []]
    paths = [str(url).partition("/projects/")[2].partition("/")[2] for url in urls if url]
    return [path for path in paths if path]


def _older(resource: Mapping[str, Any], created: datetime) -> bool:
    try:
        made: datetime = lifetime.read_moment(str(resource.get("creationTimestamp")))
    except ValueError:
        return False
    return made < created
