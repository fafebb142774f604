"""Runs modules of google.cloud that create or delete GKE clusters and pools, with a timeout.

Those modules do not retry, fail on a lost connection, wait without a limit, treat a failed
operation as completed, and include the whole request in error messages. So each runs in this
process, which can stop it, and its result is ignored; the caller checks the actual state.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from ansible.module_utils import basic
from ansible.module_utils.common.json import Direction, get_module_encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ansible.module_utils.basic import AnsibleModule

CLUSTER = "gcp_container_cluster"
POOL = "gcp_container_node_pool"
# Ansible's name for the serialization of arguments and results.
_PROFILE = "legacy"
# The options of the login, which have the same names in google.cloud.
_ACCESS = (
    "project",
    "auth_kind",
    "service_account_file",
    "service_account_contents",
    "access_token",
    "scopes",
)


class UnavailableError(Exception):
    """The collection cannot be loaded; the message is a sentence for a warning."""


class _TimeIsUpError(BaseException):
    """Raised on timeout; not an Exception, so that the module does not catch it."""


def run(
    name: str, parameters: Mapping[str, Any], access: Mapping[str, Any], seconds: float
) -> None:
    """Run the module of google.cloud of this name, for at most `seconds`.

    parameters: the module's own parameters.
    access: a mapping with the login, such as a module's parameters.

    Does not report whether it succeeded. Raises UnavailableError.
    """
    try:
        module = importlib.import_module(f"ansible_collections.google.cloud.plugins.modules.{name}")
    except ImportError as error:
        raise UnavailableError(
            f"google.cloud.{name} is not used, since {sys.executable} does not find it ({error}); "
            "the API is asked for the same. To have it used set ansible_python_interpreter to "
            '"{{ ansible_playbook_python }}", with ansible_connection: local.'
        ) from error
    login = {key: access[key] for key in _ACCESS if access.get(key) is not None}
    with (
        _arguments({**login, **parameters}),
        contextlib.redirect_stdout(io.StringIO()),
        # The module exits this way on success, too; its own errors are unreliable (see above).
        contextlib.suppress(SystemExit, Exception),
        _at_most(seconds),
    ):
        module.main()


def trial(
    module: AnsibleModule, name: str, parameters: Mapping[str, Any]
) -> Callable[[float], None]:
    """Return a function that runs the module for at most the given seconds, or warns."""

    def attempt(seconds: float) -> None:
        try:
            run(name, parameters, module.params, seconds)
        except UnavailableError as error:
            module.warn(str(error))

    return attempt


@contextlib.contextmanager
def _arguments(given: Mapping[str, Any]) -> Iterator[None]:
    """Set the variables that AnsibleModule reads first; the calling module has read its own."""
    encoder = get_module_encoder(_PROFILE, Direction.CONTROLLER_TO_MODULE)
    text = json.dumps({"ANSIBLE_MODULE_ARGS": given}, cls=encoder).encode()
    names = vars(basic)
    before = {key: names.get(key) for key in ("_ANSIBLE_ARGS", "_ANSIBLE_PROFILE")}
    names.update(_ANSIBLE_ARGS=text, _ANSIBLE_PROFILE=_PROFILE)
    try:
        yield
    finally:
        names.update(before)


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Stop the body after `seconds`, without an error."""

    def end(*_: object) -> NoReturn:
        raise _TimeIsUpError

    handler = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    except _TimeIsUpError:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
