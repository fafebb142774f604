"""What a rehearsal may set: who owns the project, how long things take, what is scarce."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass
class Settings:
    """Everything that a rehearsal can choose; seconds are of the world's clock."""

    project: str = "rehearsal-project"
    project_number: str = "123456789012"

    endpoint: str = "127.0.20.1"
    """Address of every cluster's control plane."""
    ca_certificate: str = ""
    """Its authority's certificate, PEM in base64."""

    create_cluster_seconds: float = 3.0
    create_pool_seconds: float = 2.0
    update_seconds: float = 1.0
    delete_seconds: float = 2.0
    compute_seconds: float = 0.5
    other_seconds: float = 0.5
    """How long an operation of Artifact Registry and Service Usage takes."""
    pending_part: float = 0.2
    """The part of an operation's time in which it is still PENDING."""
    soak_seconds: float = 1.0
    """How long a blue-green upgrade keeps the blue nodes, whatever duration was asked for."""

    list_lag_seconds: float = 0.0
    """How long lists do not show a new cluster yet."""
    page_size: int = 500
    """Items on a page of a compute list."""

    quotas: dict[str, float] = field(default_factory=dict)
    """Limits in every region by Google's names: CPUS, IN_USE_ADDRESSES, SSD_TOTAL_GB,
    DISKS_TOTAL_GB, INSTANCES; a name that is absent has no limit."""
    quota_shows: str = "request"
    """Where a missing quota is noticed: "request" (403) or "operation" (it ends with an error)."""

    denied: dict[str, list[str]] = field(default_factory=dict)
    """Permissions that a caller ("*": everybody) has not, by the caller's address."""
    disabled_services: list[str] = field(default_factory=list)
    """APIs that are not enabled in the project ("container.googleapis.com")."""

    kubeconfig: str = ""
    """Of the Kubernetes that stands for every cluster: what its Services, Ingresses and claims
    would have of the cloud is there; empty: only what is attached by hand."""
    load_balancers: str = "target-pool"
    """What GKE makes of a Service of type LoadBalancer: "target-pool" or "backend-service"."""

    @classmethod
    def of(cls, given: Settings | Mapping[str, Any] | None) -> Settings:
        """Return settings from whatever form.

        :raises ValueError: a name that is no setting.
        """
        if isinstance(given, Settings):
            return given
        known = {each.name for each in fields(cls)}
        unknown = sorted(set(given or {}) - known)
        if unknown:
            message = f"no such setting: {', '.join(unknown)}; there are {', '.join(sorted(known))}"
            raise ValueError(message)
        return cls(**dict(given or {}))

    @property
    def project_names(self) -> tuple[str, str]:
        """The project as paths may name it."""
        return self.project, self.project_number
