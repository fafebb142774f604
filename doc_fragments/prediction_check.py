"""Documentation shared by the modules that check predictions."""


class ModuleDocFragment:
    """The options for requests to the service."""

    DOCUMENTATION = r"""
options:
  headers:
    description:
      - Headers of each request. They are shown in the task's output; set C(no_log) on a task
        that passes secrets.
    type: dict
    default: {}
  timeout:
    description: Seconds that one request may take, from the name lookup to the last byte.
    type: float
    default: 10
  retries:
    description: Number of retries of one request. By default as many as O(deadline) allows.
    type: int
  retry_delay:
    description:
      - Seconds before the first retry. The delay doubles with each retry, and up to half of it is
        subtracted at random. A C(Retry-After) header replaces it.
    type: float
    default: 0.25
  retry_delay_max:
    description: Maximum delay in seconds.
    type: float
    default: 5
  retry_statuses:
    description: Statuses that are treated as temporary and retried, unless they are expected.
    type: list
    elements: int
    default: [429, 502, 503, 504]
  max_bytes:
    description: Maximum size of the body that is read; a larger body is a problem.
    type: int
    default: 1048576
  use_proxy:
    description: Whether proxies of the environment are used (never for this machine itself).
    type: bool
    default: true
  validate_certs:
    description: Whether the certificate of an C(https) service must be valid.
    type: bool
    default: true
  ca_path:
    description: PEM file with the certificates to trust instead of the system's.
    type: path
"""
