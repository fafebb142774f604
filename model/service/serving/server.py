"""The HTTP server: granian, which drains its connections before it stops.

Chosen by measurement (2 workers, 32 connections, the CPU of all processes for a prediction with
metrics and log: granian 19 µs, fastpysgi 14, Go's net/http 12). fastpysgi runs one request at a
time in each worker, so that a batch would hold up predictions and probes, does not replace a
worker that died, and leaves its workers behind when it is told to stop. granian is maintained,
refuses requests that are ambiguous, and finishes those under way. Eight threads a worker cost
the least on two busy processors: with fewer they sleep too often, with more they wait for the
interpreter's lock. Where processors idle, two cost less.
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
        """Take the leave's limits from the settings; the options are granian's."""
        super().__init__(**options)
        self._settings = settings
        self._terminated = False
        self.drain = Drain(settings.port)

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Tell SIGTERM from SIGINT, which a terminal sends to the workers as well."""
        self._terminated = args[:1] == (signal.SIGTERM,)
        super().signal_handler_interrupt(*args, **kwargs)

    def shutdown(self, exit_code: int = 0) -> None:
        """Take leave, then stop the workers, which finish their requests."""
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
    """Leaves out what granian warns of though it is meant so."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is to be logged."""
        # More threads than processors: most wait for a client's body or the interpreter.
        return not record.getMessage().startswith("Configuration allows spawning up to ")


def serve(
    settings: ServerSettings,
    target: str,
    load_app: "Callable[[], Front]",
    log: RequestLog,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests under way.

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
        # A thread that is there need not be waited for: granian starts one only when two
        # requests wait. The most it allows.
        blocking_threads_idle_timeout=600,
        # Tokio would allow 512; the service does no blocking I/O.
        runtime_blocking_threads=1,
        workers_kill_timeout=settings.drain_seconds,
        respawn_failed_workers=True,
        websockets=False,
        log_dictconfig=logging_configuration(log),
        # The request line and headers, and what is read of a body at a time: a quarter of it costs
        # a large batch a tenth more.
        http1_settings=HTTP1Settings(max_buffer_size=262144),
    )
    # For the workers to inherit until they have a handler.
    signal.signal(REFUSE, signal.SIG_IGN)
    # What is there already stays: the collector would copy the memory that workers share.
    gc.collect()
    _give_back()
    gc.freeze()

    def load() -> "Front":
        front = load_app()
        front.in_worker()
        return front

    server.serve(target_loader=lambda: server.drain.in_worker(load), wrap_loader=False)


def _give_back() -> None:
    """Give the system the memory that is free again, where the C library can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def logging_configuration(log: RequestLog) -> dict[str, Any]:
    """Return the configuration by which everything is logged as JSON lines."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"unexpected": {"()": Unexpected}},
        "formatters": {"json": {"()": JsonFormatter}},
        "handlers": {"log": {"()": LogHandler, "log": log, "formatter": "json"}},
        "loggers": {"_granian": {"filters": ["unexpected"]}},
        "root": {"level": "WARNING", "handlers": ["log"]},
    }
