"""The HTTP server: granian, which drains its connections before it stops."""

import signal
from typing import TYPE_CHECKING, Any

from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.log import logger
from granian.server import Server

from model.service.drain import REFUSE, Drain
from model.service.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIApplication


class DrainingServer(Server):  # type: ignore[misc, valid-type] # one of two, by interpreter
    """A server that takes leave of its clients when SIGTERM asks it to stop."""

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


def serve(settings: ServerSettings, target: str, load_app: "Callable[[], WSGIApplication]") -> None:
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
        blocking_threads=settings.threads,
        # Tokio would allow 512; the service does no blocking I/O.
        runtime_blocking_threads=1,
        workers_kill_timeout=settings.drain_seconds,
        respawn_failed_workers=True,
        websockets=False,
        log_access=settings.access_log,
        # The request line and headers; granian's default is 417,792 bytes.
        http1_settings=HTTP1Settings(max_buffer_size=65536),
    )
    # For the workers to inherit until they have a handler.
    signal.signal(REFUSE, signal.SIG_IGN)
    server.serve(target_loader=lambda: server.drain.in_worker(load_app), wrap_loader=False)
