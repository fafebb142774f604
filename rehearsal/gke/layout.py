"""Addresses, ports, the account, and the paths below the double's folder."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

DEFAULT_FOLDER = Path("/var/lib/docker-ml-api/rehearsal-gke")

ADDRESS = IPv4Address("127.0.20.3")
PROXY_PORT = 3128
PLAIN_PORT = 8080

PROJECT = "docker-ml-api-rehearsal"
PROJECT_NUMBER = "846157219304"
SERVICE_ACCOUNT = f"rehearsal@{PROJECT}.iam.gserviceaccount.com"
"""E-mail address of the only account, which has all permissions."""
TOKEN_REVIEW_PATH = "/tokenreview"  # noqa: S105 - no token
TOKEN_REVIEW_URL = f"http://{ADDRESS}:{PLAIN_PORT}{TOKEN_REVIEW_PATH}"
"""The URL for TokenReviews of a Kubernetes API server (authentication.k8s.io/v1)."""

CLUSTER_ENDPOINT = IPv4Address("127.0.20.1")
"""The endpoint of every cluster if no Kubernetes stands for the clusters."""


@dataclass(frozen=True)
class Layout:
    """The paths of one double, all of them inside its folder."""

    folder: Path = DEFAULT_FOLDER

    @property
    def settings(self) -> Path:
        """The first file that `up` writes: its presence marks the folder as a double's."""
        return self.folder / "settings.json"

    @property
    def authority(self) -> Path:
        """Certificate of the throw-away CA that signed the certificate of googleapis.com."""
        return self.folder / "ca.pem"

    @property
    def certificates(self) -> Path:
        """Keys and certificates, only for the server."""
        return self.folder / "pki"

    @property
    def key_file(self) -> Path:
        """The service account's key file, in Google's format."""
        return self.folder / "service-account.json"

    @property
    def state(self) -> Path:
        """The saved state of the double."""
        return self.folder / "state.json"

    @property
    def requests(self) -> Path:
        """The log: one JSON object per request."""
        return self.folder / "log" / "requests.jsonl"

    @property
    def output(self) -> Path:
        """The output of the server process."""
        return self.folder / "log" / "server.log"

    @property
    def record(self) -> Path:
        """The record of the server's process."""
        return self.folder / "process"

    @property
    def gcloud(self) -> Path:
        """The configuration of gcloud."""
        return self.folder / "gcloud"

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig that `gcloud container clusters get-credentials` writes."""
        return self.folder / "kubeconfig"
