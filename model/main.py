"""Serve the model: `python -m model.main`.

The model is loaded before the server starts: a bad one ends the process with one sentence,
and the workers, forked from it, share its memory.
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

# What is answered from templates and descriptions that are kept once they are made.
DOCUMENTS = ("/", "/docs", "/model", "/openapi.json", "/metrics")
# Of the model card, for the metrics.
MODEL_LABELS = ("name", "version", "task", "form", "data_sha256")
# To granian's allocator, jemalloc, which reads it when granian is imported: a cache and an arena
# for each thread are six megabytes that save no time.
ALLOCATOR = ("_RJEM_MALLOC_CONF", "narenas:1,tcache:false")


def _stop(_signal: int, _frame: object) -> NoReturn:
    """End at once: as a container's first process this one gets no default action."""
    sys.exit(0)


@functools.cache
def load_app() -> "Front":
    """Return what is served, made once in this process or in the one it was forked from.

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
    """Have the documents made once, here: each worker would, in memory of its own."""
    # Flask's own imports a debugger.
    from werkzeug.test import Client  # noqa: PLC0415 - after the signal handler is set

    client = Client(app)
    for path in DOCUMENTS:
        client.get(path)


def check_free(host: str, port: int) -> None:
    """Raise OSError if the address cannot be listened on.

    Asked here because granian would tell it by a trace, and share the port with a granian
    that is already there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.create_server((host, port), family=family).close()


def main() -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests under way."""
    signal.signal(signal.SIGTERM, _stop)
    os.environ.setdefault(*ALLOCATOR)

    # The container may be stopped while these are imported: the handler is set before.
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
    # Not every Python's default; the workers share this process's memory.
    multiprocessing.set_start_method("fork", force=True)
    server.serve(settings, "model.main:load_app", load_app, front.log)


if __name__ == "__main__":
    main()
