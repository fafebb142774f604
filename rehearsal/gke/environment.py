"""Environment variables that direct clients to the double instead of Google."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rehearsal.gke import layout

if TYPE_CHECKING:
    from rehearsal.gke.layout import Layout


def for_gcloud(paths: Layout, plain: str, project: str) -> dict[str, str]:
    """Return variables that make gcloud log in with the key file and call the double at a URL."""
    never_by_proxy = ",".join((str(urlsplit(plain).hostname), str(layout.CLUSTER_ENDPOINT)))
    return {
        "CLOUDSDK_CONFIG": str(paths.gcloud),
        "CLOUDSDK_CORE_PROJECT": project,
        "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": str(paths.key_file),
        "CLOUDSDK_AUTH_TOKEN_HOST": f"{plain}/oauth2/token",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER": f"{plain}/container/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"{plain}/compute/v1/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_SERVICEUSAGE": f"{plain}/serviceusage/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_ARTIFACTREGISTRY": f"{plain}/artifactregistry/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER": f"{plain}/cloudresourcemanager/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM": f"{plain}/iam/",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
        "CLOUDSDK_SURVEY_DISABLE_PROMPTS": "true",
        "KUBECONFIG": str(paths.kubeconfig),
        "no_proxy": never_by_proxy,
        "NO_PROXY": never_by_proxy,
    }


def for_ansible(paths: Layout, proxy: str, project: str) -> dict[str, str]:
    """Return variables that make the modules of google.cloud call the double instead of Google."""
    return {
        "https_proxy": proxy,
        "HTTPS_PROXY": proxy,
        "no_proxy": "",
        "NO_PROXY": "",
        "REQUESTS_CA_BUNDLE": str(paths.authority),
        "GCP_PROJECT": project,
        "GCP_AUTH_KIND": "serviceaccount",
        "GCP_SERVICE_ACCOUNT_FILE": str(paths.key_file),
    }
