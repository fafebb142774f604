"""Documentation shared by the modules for Google's APIs."""


class ModuleDocFragment:
    """The options for access to Google, named as in the collection google.cloud."""

    DOCUMENTATION = r"""
options:
  project:
    description:
      - The project's ID. Defaults to E(GCP_PROJECT).
    type: str
    required: true
  auth_kind:
    description:
      - V(serviceaccount) authenticates with a service account's key, V(application) with the
        application default credentials (C(gcloud auth application-default login), or the service
        account of a workload or machine), V(accesstoken) with a token. Defaults to
        E(GCP_AUTH_KIND).
    type: str
    required: true
    choices: [serviceaccount, application, accesstoken]
  service_account_file:
    description: File of the key. Defaults to E(GCP_SERVICE_ACCOUNT_FILE).
    type: path
  service_account_contents:
    description:
      - The key itself, as JSON text or a mapping. Defaults to E(GCP_SERVICE_ACCOUNT_CONTENTS).
    type: jsonarg
  access_token:
    description:
      - The token, which Google accepts for an hour. Defaults to E(GCP_ACCESS_TOKEN).
    type: str
  scopes:
    description:
      - OAuth scopes. Defaults to E(GCP_SCOPES), or to those for the cloud platform and for the
        e-mail address, by which a cluster identifies the user.
    type: list
    elements: str
  retry_seconds:
    description:
      - Seconds for which a request is retried when Google limits the rate of requests, reports a
        temporary error, or the connection is lost. A request that could create something twice
        is not retried; the module first checks whether the resource exists.
    type: float
    default: 60
requirements: [google-auth, requests]
"""
