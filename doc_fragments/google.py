"""Documentation that the modules for Google's APIs share."""


class ModuleDocFragment:
    """The options by which Google is reached, named as in the collection google.cloud."""

    DOCUMENTATION = r"""
options:
  project:
    description:
      - The project's ID. Without it E(GCP_PROJECT).
    type: str
    required: true
  auth_kind:
    description:
      - V(serviceaccount) logs in with a service account's key, V(application) with the
        application default credentials (C(gcloud auth application-default login), a workload's
        or a machine's own account), V(accesstoken) with a token. Without it E(GCP_AUTH_KIND).
    type: str
    required: true
    choices: [serviceaccount, application, accesstoken]
  service_account_file:
    description: File of the key. Without it E(GCP_SERVICE_ACCOUNT_FILE).
    type: path
  service_account_contents:
    description:
      - The key itself, as JSON text or a mapping. Without it E(GCP_SERVICE_ACCOUNT_CONTENTS).
    type: jsonarg
  access_token:
    description:
      - The token, which Google takes for an hour. Without it E(GCP_ACCESS_TOKEN).
    type: str
  scopes:
    description:
      - OAuth scopes; without them those for the cloud platform and for the e-mail address, by
        which a cluster knows who asks. Without it E(GCP_SCOPES).
    type: list
    elements: str
  retry_seconds:
    description:
      - Seconds for which a request is repeated when Google limits requests, is not well, or the
        connection is lost. A request whose repetition could create something twice is not
        repeated; the module then looks first whether the thing is there.
    type: float
    default: 60
requirements: [google-auth, requests]
"""
