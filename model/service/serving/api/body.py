"""Reading a request's body within size limits."""

from http import HTTPStatus

from flask import request

from model.service.serving import json_batches
from model.service.serving.problem import DocumentError, ProblemError

READ_BYTES = 1 << 20


class Body:
    """The body of the current request, read once."""

    def __init__(self) -> None:
        """Raise ProblemError if the body is compressed."""
        environ = request.environ
        encoding = environ.get("HTTP_CONTENT_ENCODING", "identity")
        if encoding != "identity":
            raise ProblemError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"Content-Encoding {encoding!r} is not supported: send the body as it is.",
            )
        length = environ.get("CONTENT_LENGTH", "")
        self._stream = request.stream
        self._length = int(length) if length.isascii() and length.isdigit() else None
        self._read = 0

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, or no bytes at the end.

        Raises DocumentError if the client disconnected before it sent all announced bytes.
        """
        data = self._stream.read(size)
        self._read += len(data)
        if not data and self._length is not None and self._read < self._length:
            raise DocumentError(
                f"The body ended after {self._read} of the {self._length} bytes "
                "that Content-Length announced.",
                status=HTTPStatus.BAD_REQUEST,
            )
        return data

    def document(self) -> bytes:
        """Return the whole body.

        Raises ProblemError if it exceeds the size that is processed at once.
        """
        if (self._length or 0) > json_batches.DOCUMENT_BYTES:
            raise _too_large()
        parts = []
        while (self._length is None or self._read < self._length) and (
            data := self.read(READ_BYTES if self._length is None else self._length - self._read)
        ):
            parts.append(data)
            if self._read > json_batches.DOCUMENT_BYTES:
                raise _too_large()
        return b"".join(parts)


def _too_large() -> ProblemError:
    return ProblemError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The document is larger than {json_batches.DOCUMENT_BYTES} bytes: {json_batches.SMALLER}.",
    )
