"""Errors as RFC 9457 problem details; under /v2, in the format of the Open Inference Protocol."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from http import HTTPStatus

from model.service.serving.answer import InvalidParametersError, ParameterError

CONTENT_TYPE = "application/problem+json"
INFERENCE_PATH = "/v2"

# Problem types are identifiers that are compared as text. This type means that `errors` names the
# query parameters at fault.
INVALID_PARAMETERS = "tag:docker-ml-api,2026:invalid-parameters"
# This type means that the request document is invalid for the operation; `errors`, if present,
# names the parts at fault.
INVALID_DOCUMENT = "tag:docker-ml-api,2026:invalid-document"


class ProblemError(Exception):
    """The request cannot be answered; has the status and detail of the problem document."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        title: str = "",
        type_: str = "about:blank",
        errors: Iterable[ParameterError] = (),
    ) -> None:
        """Initialize with the parameters of `problem`."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.title = title
        self.type = type_
        self.errors = tuple(errors)


class DocumentError(ProblemError):
    """The request document is invalid for the operation."""

    def __init__(
        self,
        detail: str,
        errors: Iterable[ParameterError] = (),
        status: int = HTTPStatus.UNPROCESSABLE_ENTITY,
    ) -> None:
        """Initialize with a sentence and the parts at fault."""
        super().__init__(
            status, detail, title="Invalid document", type_=INVALID_DOCUMENT, errors=errors
        )


def problem(
    status: int,
    detail: str,
    *,
    title: str = "",
    type_: str = "about:blank",
    errors: Iterable[ParameterError] = (),
    request_id: str = "",
) -> bytes:
    """Return a problem document; the default title is the status phrase as for about:blank."""
    document = {
        "type": type_,
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if request_id:
        document["request_id"] = request_id
    if entries := [asdict(error) for error in errors]:
        document["errors"] = entries
    return json.dumps(document).encode()


def invalid_parameters(error: InvalidParametersError, request_id: str = "") -> bytes:
    """Return the problem document for an invalid query."""
    return problem(
        HTTPStatus.BAD_REQUEST,
        str(error),
        title="Invalid query parameters",
        type_=INVALID_PARAMETERS,
        errors=error.errors,
        request_id=request_id,
    )


def inference_error(detail: str) -> bytes:
    """Return an error document of the Open Inference Protocol."""
    return json.dumps({"error": detail}).encode()


def is_inference(path: str) -> bool:
    """Return whether a path belongs to the Open Inference Protocol."""
    return path == INFERENCE_PATH or path.startswith(f"{INFERENCE_PATH}/")


def error_document(path: str, status: int, detail: str, request_id: str = "") -> tuple[bytes, str]:
    """Return the body and content type of an error, in the format for this path."""
    if is_inference(path):
        return inference_error(detail), "application/json"
    return problem(status, detail, request_id=request_id), CONTENT_TYPE
