"""The HTTP server: granian, which drains its connections before it stops.

granian was chosen by measurement (2 workers, 32 connections; CPU time of all processes per
prediction with metrics and log: granian 19 µs, fastpysgi 14 µs, Go's net/http 12 µs). fastpysgi
runs one request at a time in each worker, so that a batch would block predictions and probes, does
not replace a dead worker, and leaves its workers running when it is told to stop. granian is
maintained, rejects ambiguous requests, and finishes the requests in progress. Eight threads per
worker cost the least on two busy processors: fewer threads sleep too often, more wait for the GIL.
On idle processors, two threads cost less.
"""

import ctypes
import gc
import logging
import signal
from typing import TYPE_CHECKING, Any

from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.log import logger
from granian.server import Server

from model.service.serving.drain import REFUSE, Drain
from model.service.serving.request_log import JsonFormatter, LogHandler, RequestLog
from model.service.serving.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.service.serving.front import Front


class DrainingServer(Server):  # type: ignore[misc, valid-type] # one of two, by interpreter
    """A server that drains its connections when SIGTERM asks it to stop."""

    def __init__(self, settings: ServerSettings, **options: Any) -> None:
        """Initialize with the settings, which limit the drain's time, and granian's options."""
        super().__init__(**options)
        self._settings = settings
        self._terminated = False
        self.drain = Drain(settings.port)

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Tell SIGTERM from SIGINT, which a terminal sends to the workers as well."""
        self._terminated = args[:1] == (signal.SIGTERM,)
        super().signal_handler_interrupt(*args, **kwargs)

    def shutdown(self, exit_code: int = 0) -> None:
        """Drain the connections, then stop the workers, which finish their requests."""
        settings = self._settings
        if self._terminated and settings.leave_seconds:
            logger.info("Draining connections")
            taken = self.drain.take_leave(
                [worker.inner.pid for worker in self.wrks],
                settings.leave_seconds,
                settings.drain_seconds,
            )
            self.workers_kill_timeout = max(1.0, settings.drain_seconds - taken)
        super().shutdown(exit_code)


class Unexpected(logging.Filter):
    """Suppresses a warning of granian about an intended configuration."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is logged."""
        # More threads than processors are intended: most wait for a client's body or the GIL.
        return not record.getMessage().startswith("Configuration allows spawning up to ")


def serve(
    settings: ServerSettings,
    target: str,
    load_app: "Callable[[], Front]",
    log: RequestLog,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests in progress.

    target: the name that granian shows. load_app: called in each worker.
    """
    server = DrainingServer(
        settings,
        target=target,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=settings.workers,
        blocking_threads=settings.threads + settings.concurrency,
        # Seconds, the maximum that granian allows. It starts a thread only when two requests wait,
        # so keeping idle threads avoids that wait.
        blocking_threads_idle_timeout=600,
        # Tokio's default is 512; the service does no blocking I/O.
        runtime_blocking_threads=1,
        workers_kill_timeout=settings.drain_seconds,
        respawn_failed_workers=True,
        websockets=False,
        log_dictconfig=logging_configuration(log),
        # The limit of the request line and headers, and the block size for bodies. With a quarter
        # of it, a large batch takes a tenth longer.
        http1_settings=HTTP1Settings(max_buffer_size=262144),
    )
    # Inherited by the workers, until they install a handler.
    signal.signal(REFUSE, signal.SIG_IGN)
    # Freeze existing objects: otherwise the garbage collector would write to shared pages, which
    # are then copied.
    gc.collect()
    _give_back()
    gc.freeze()

    def load() -> "Front":
        front = load_app()
        front.in_worker()
        return front

    server.serve(target_loader=lambda: server.drain.in_worker(load), wrap_loader=False)


def _give_back() -> None:
    """Return free memory to the system, if the C library supports it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def logging_configuration(log: RequestLog) -> dict[str, Any]:
    """Return a logging configuration that writes all records as JSON lines."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"unexpected": {"()": Unexpected}},
        "formatters": {"json": {"()": JsonFormatter}},
        "handlers": {"log": {"()": LogHandler, "log": log, "formatter": "json"}},
        "loggers": {"_granian": {"filters": ["unexpected"]}},
        "root": {"level": "WARNING", "handlers": ["log"]},
    }
