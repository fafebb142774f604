"""The options of the modules for prediction checks, and the client that they define."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.checks.http import UrlsClient
from ansible.module_utils.docker_ml_api.checks.runner import TEXT_MATCHES

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECK_OPTIONS: dict[str, Any] = {
    "path": {"type": "str", "default": "/"},
    "query": {"type": "dict"},
    "method": {"type": "str", "choices": ["GET", "POST"]},
    "body": {"type": "raw"},
    "status": {"type": "list", "elements": "int", "default": [200]},
    "content_type": {"type": "str"},
    "expected": {"type": "raw"},
    "tolerance": {"type": "float", "default": 0.0},
    "relative_tolerance": {"type": "float", "default": 0.0},
    "expected_text": {"type": "str"},
    "text_match": {"type": "str", "choices": list(TEXT_MATCHES), "default": "equal"},
    "samples": {"type": "int"},
    "latency_p50": {"type": "float"},
    "latency_p99": {"type": "float"},
}
CHECKS: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "required": True,
    "options": CHECK_OPTIONS,
    "mutually_exclusive": [("expected", "expected_text")],
}
# Documented in one place as well: doc_fragments/prediction_check.py.
REQUEST_OPTIONS: dict[str, Any] = {
    "headers": {"type": "dict", "default": {}},
    "timeout": {"type": "float", "default": 10},
    "retries": {"type": "int"},
    "retry_delay": {"type": "float", "default": 0.25},
    "retry_delay_max": {"type": "float", "default": 5},
    "retry_statuses": {"type": "list", "elements": "int", "default": [429, 502, 503, 504]},
    "max_bytes": {"type": "int", "default": 1048576},
    "use_proxy": {"type": "bool", "default": True},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
}


def make_client(params: Mapping[str, Any], unix_socket: str | None = None) -> UrlsClient:
    """Return the client that the module's options define."""
    return UrlsClient(
        max_bytes=params["max_bytes"],
        use_proxy=params["use_proxy"],
        validate_certs=params["validate_certs"],
        ca_path=params["ca_path"],
        unix_socket=unix_socket,
    )
