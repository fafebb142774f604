"""Serve the model: `python -m model.main`.

The model is loaded before the server starts. If it is invalid, the process exits with a
one-sentence message. The workers are forked from this process and share its memory.
"""

import functools
import multiprocessing
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from flask import Flask

    from model.service.serving.front import Front

# Documents rendered from templates and descriptions that are cached after the first request.
DOCUMENTS = ("/", "/docs", "/model", "/openapi.json", "/metrics")
# Fields of the model card that label the model's metric.
MODEL_LABELS = ("name", "version", "task", "form", "data_sha256")
# Settings of jemalloc, granian's allocator, which reads them when granian is imported. Caches and
# arenas per thread would cost six megabytes and save no time.
ALLOCATOR = ("_RJEM_MALLOC_CONF", "narenas:1,tcache:false")


def _stop(_signal: int, _frame: object) -> NoReturn:
    """Exit at once: as PID 1 of a container, this process has no default signal actions."""
    sys.exit(0)


@functools.cache
def load_app() -> "Front":
    """Return the WSGI application, created once in this process or in its parent before the fork.

    Raises ArtifactError or SettingsError.
    """
    # After the signal handler is set: see `main`.
    from model.service.serving.app import create_app  # noqa: PLC0415 - see above
    from model.service.serving.front import Front  # noqa: PLC0415 - see above
    from model.service.serving.request_log import RequestLog  # noqa: PLC0415 - see above
    from model.service.serving.settings import server_settings  # noqa: PLC0415 - see above

    app = create_app()
    settings = server_settings(app.config)
    predictor, metrics, card = (app.extensions[name] for name in ("predictor", "metrics", "card"))
    metrics.describe_model({name: str(card.get(name, "")) for name in MODEL_LABELS})
    log = RequestLog(
        metrics.dropped_lines, requests=settings.request_log, served_by=settings.instance
    )
    return Front(
        app,
        predictor,
        metrics,
        log,
        instance=settings.instance,
        max_body_bytes=settings.max_body_bytes,
        concurrency=settings.concurrency,
    )


def warm_up(app: "Flask") -> None:
    """Render the documents before the fork, so that the workers share the memory they take."""
    # Flask's own test client imports a debugger.
    from werkzeug.test import Client  # noqa: PLC0415 - after the signal handler is set

    client = Client(app)
    for path in DOCUMENTS:
        client.get(path)


def check_free(host: str, port: int) -> None:
    """Raise OSError if the address cannot be listened on.

    granian itself would report the error with a traceback, and would share the port with a granian
    process that already listens on it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.create_server((host, port), family=family).close()


def main() -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests in progress."""
    signal.signal(signal.SIGTERM, _stop)
    os.environ.setdefault(*ALLOCATOR)

    # The signal handler is set first, as the container may be stopped during these imports.
    from model.service.contract.card import ArtifactError  # noqa: PLC0415 - see above
    from model.service.serving import server  # noqa: PLC0415 - see above
    from model.service.serving.settings import SettingsError, server_settings  # noqa: PLC0415 - see above

    try:
        front = load_app()
        settings = server_settings(front.app.config)
        check_free(settings.host, settings.port)
    except (ArtifactError, SettingsError) as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"PREDICTION_HOST {settings.host}, PORT {settings.port}: {error.strerror}.")
    warm_up(front.app)
    # Not the default in every Python version; forked workers share this process's memory.
    multiprocessing.set_start_method("fork", force=True)
    server.serve(settings, "model.main:load_app", load_app, front.log)


if __name__ == "__main__":
    main()
