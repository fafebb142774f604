"""Where everything is: addresses, ports, the account, and the paths below one folder."""

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
"""E-mail of the one account that may everything."""
TOKEN_REVIEW_PATH = "/tokenreview"  # noqa: S105 - no token
TOKEN_REVIEW_URL = f"http://{ADDRESS}:{PLAIN_PORT}{TOKEN_REVIEW_PATH}"
"""What a Kubernetes API server is to ask (authentication.k8s.io/v1)."""

CLUSTER_ENDPOINT = IPv4Address("127.0.20.1")
"""Of every cluster, when no Kubernetes is there to stand for them."""


@dataclass(frozen=True)
class Layout:
    """The paths of one double: nothing of it lies outside of its folder."""

    folder: Path = DEFAULT_FOLDER

    @property
    def settings(self) -> Path:
        """What `up` wrote down first: while it is there, the folder is a double's."""
        return self.folder / "settings.json"

    @property
    def authority(self) -> Path:
        """Certificate of the throw-away authority that signed googleapis.com."""
        return self.folder / "ca.pem"

    @property
    def certificates(self) -> Path:
        """Keys and certificates, for the server alone."""
        return self.folder / "pki"

    @property
    def key_file(self) -> Path:
        """The key of the service account, as Google gives it out."""
        return self.folder / "service-account.json"

    @property
    def state(self) -> Path:
        """What Google's side knows."""
        return self.folder / "state.json"

    @property
    def requests(self) -> Path:
        """The log: a JSON object a request."""
        return self.folder / "log" / "requests.jsonl"

    @property
    def output(self) -> Path:
        """What the server itself has to say."""
        return self.folder / "log" / "server.log"

    @property
    def record(self) -> Path:
        """The server's process."""
        return self.folder / "process"

    @property
    def gcloud(self) -> Path:
        """Gcloud's own configuration."""
        return self.folder / "gcloud"

    @property
    def kubeconfig(self) -> Path:
        """What `gcloud container clusters get-credentials` writes."""
        return self.folder / "kubeconfig"
