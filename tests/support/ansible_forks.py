"""The program of the server: see ansible_server.py."""

from __future__ import annotations

import atexit
import ctypes
import importlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from ansible import constants
from ansible.cli import playbook

_PROJECT = Path(__file__).parents[2]
sys.path += [str(_PROJECT), str(_PROJECT / "tests")]

from support.ansible_server import KNOWN  # noqa: E402 - needs the path

if KNOWN:
    from support import ansible_warm

# Imported by most runs, including the modules that run in the process of a task.
_ALSO = (
    "ansible.executor.playbook_executor",
    "ansible.plugins.action.normal",
    "ansible.plugins.strategy.linear",
    "docker",
    "google.auth.transport.requests",
    "google.oauth2.service_account",
    "kubernetes.dynamic",
    "requests",
)
# Files that most runs read.
_PARSED = ("*.yml", "inventory/**/*.yml", "playbooks/*.yml", "roles/*/*/*.yml")
_UNEXPECTED = 250
_PR_SET_PDEATHSIG = 1
_PACKED = "ansiballz_cache"


def serve(longest_request: int) -> None:
    """Fork a run for each request until the client disconnects."""
    for name in _ALSO:
        importlib.import_module(name)
    if KNOWN:
        ansible_warm.prepare(path for pattern in _PARSED for path in _PROJECT.glob(pattern))
    Path(constants.DEFAULT_LOCAL_TMP, _PACKED).mkdir()
    asked = socket.socket(fileno=os.dup(0))
    # No process waits for the end of a run.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with Path(os.devnull).open("r+b") as nothing:
        os.dup2(nothing.fileno(), 0)
    while True:
        request, files, _, _ = socket.recv_fds(asked, longest_request, 3)
        if not request:
            return
        if KNOWN:
            ansible_warm.learn(Path(constants.DEFAULT_LOCAL_TMP))
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            asked.close()
            _run(json.loads(request), *files)
        for file in files:
            os.close(file)


def _run(request: dict[str, Any], stdout: int, stderr: int, status: int) -> NoReturn:
    """Run the playbook in this process and exit."""
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.set_inheritable(status, False)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["command"]
    # The only setting that differs between the runs of a server.
    callback = constants.config.get_config_value("DEFAULT_STDOUT_CALLBACK")
    constants.DEFAULT_STDOUT_CALLBACK = callback
    # The server's files are removed by the server.
    atexit._clear()
    tempfile.tempdir = None
    shared = Path(constants.DEFAULT_LOCAL_TMP)
    own = Path(tempfile.mkdtemp(prefix=f"ansible-local-{os.getpid()}", dir=shared.parent))
    constants.DEFAULT_LOCAL_TMP = str(own)
    # Modules are packed without their arguments, under a lock, so runs can share them.
    (own / _PACKED).symlink_to(shared / _PACKED)
    if KNOWN:
        ansible_warm.install()
    code = _UNEXPECTED
    try:
        playbook.main(sys.argv)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        atexit._run_exitfuncs()
        if KNOWN:
            ansible_warm.teach(shared)
        shutil.rmtree(own, ignore_errors=True)
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(status, str(code).encode())
        os._exit(code)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
