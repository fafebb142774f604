"""Settings of a rehearsal: the project, durations, quotas, permissions."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass
class Settings:
    """All settings of a rehearsal; durations are in seconds of the world's clock."""

    project: str = "rehearsal-project"
    project_number: str = "123456789012"

    endpoint: str = "127.0.20.1"
    """Address of every cluster's control plane."""
    ca_certificate: str = ""
    """The certificate of its CA, PEM in base64."""

    create_cluster_seconds: float = 3.0
    create_pool_seconds: float = 2.0
    update_seconds: float = 1.0
    delete_seconds: float = 2.0
    compute_seconds: float = 0.5
    other_seconds: float = 0.5
    """The duration of an operation of Artifact Registry or Service Usage."""
    pending_part: float = 0.2
    """The fraction of an operation's duration during which it is PENDING."""
    soak_seconds: float = 1.0
    """How long a blue-green upgrade keeps the blue nodes, regardless of the requested duration."""

    list_lag_seconds: float = 0.0
    """How long lists omit a new cluster."""
    page_size: int = 500
    """The number of items on a page of a compute list."""

    quotas: dict[str, float] = field(default_factory=dict)
    """Limits in every region by Google's names: CPUS, IN_USE_ADDRESSES, SSD_TOTAL_GB,
    DISKS_TOTAL_GB, INSTANCES; metrics that are not named have no limit."""
    quota_shows: str = "request"
    """Where an exceeded quota shows: "request" (403) or "operation" (it ends with an error)."""

    denied: dict[str, list[str]] = field(default_factory=dict)
    """Denied permissions by the caller's e-mail address ("*": all callers)."""
    disabled_services: list[str] = field(default_factory=list)
    """APIs that are not enabled in the project ("container.googleapis.com")."""

    kubeconfig: str = ""
    """The kubeconfig of the Kubernetes that stands for every cluster: the cloud resources of its
    Services, Ingresses and claims exist in the model; empty: only manually attached ones."""
    load_balancers: str = "target-pool"
    """What GKE creates for a Service of type LoadBalancer: "target-pool" or "backend-service"."""

    @classmethod
    def of(cls, given: Settings | Mapping[str, Any] | None) -> Settings:
        """Return settings, given as such, as a mapping or as None.

        :raises ValueError: unknown setting.
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
        """The names of the project in paths: its ID and its number."""
        return self.project, self.project_number
