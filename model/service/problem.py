"""Errors as RFC 9457 problem details."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from http import HTTPStatus

from model.service.answer import InvalidParametersError, ParameterError

CONTENT_TYPE = "application/problem+json"

# Problem types are identifiers, compared as text; this one means that `errors` names the
# query parameters at fault.
INVALID_PARAMETERS = "tag:docker-ml-api,2026:invalid-parameters"


def problem(
    status: int,
    detail: str,
    *,
    title: str = "",
    type_: str = "about:blank",
    errors: Iterable[ParameterError] = (),
) -> bytes:
    """Return a problem document; without a title it has the status's own, as about:blank asks."""
    document = {
        "type": type_,
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if entries := [asdict(error) for error in errors]:
        document["errors"] = entries
    return json.dumps(document).encode()


def invalid_parameters(error: InvalidParametersError) -> bytes:
    """Return the problem document of a query that cannot be answered."""
    return problem(
        HTTPStatus.BAD_REQUEST,
        str(error),
        title="Invalid query parameters",
        type_=INVALID_PARAMETERS,
        errors=error.errors,
    )
