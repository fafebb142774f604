"""The command line: python -m rehearsal.kubernetes up | down | status | env."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from rehearsal.gke.layout import SERVICE_ACCOUNT, TOKEN_REVIEW_URL
from rehearsal.kubernetes import build, layout, runner
from rehearsal.kubernetes.errors import RehearsalError
from rehearsal.kubernetes.layout import Layout

_NOT_UP = 3


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit code."""
    options = _parser().parse_args(arguments)
    paths = Layout(options.folder.resolve())
    try:
        return _COMMANDS[options.command](paths, options)
    except RehearsalError as error:
        _report(f"rehearsal: {error}")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rehearsal.kubernetes",
        description="A real one-node Kubernetes on this machine.",
    )
    parser.add_argument("command", choices=_COMMANDS, help="what to do")
    parser.add_argument(
        "--folder",
        type=Path,
        default=layout.DEFAULT_FOLDER,
        help="where the cluster lives (default: %(default)s)",
    )
    parser.add_argument(
        "--token-webhook",
        default="",
        metavar="URL",
        help=f"up: who knows about tokens; the double of Google's APIs is at {TOKEN_REVIEW_URL}",
    )
    parser.add_argument(
        "--token-administrator",
        default=SERVICE_ACCOUNT,
        metavar="USER",
        help="up: which of the webhook's users may everything (default: %(default)s)",
    )
    parser.add_argument("--programs", type=Path, help=argparse.SUPPRESS)
    return parser


def _up(paths: Layout, options: argparse.Namespace) -> int:
    programs = options.programs or build.ensure_built(build.cache_folder(os.environ), _report)
    if os.getuid() != 0:
        more = ["--programs", str(programs)]
        if options.token_webhook:
            more += ["--token-webhook", options.token_webhook]
            more += ["--token-administrator", options.token_administrator]
        return _as_root("up", paths, *more)
    began = time.monotonic()
    webhook = {}
    if options.token_webhook:
        webhook = {
            "token_webhook": options.token_webhook,
            "administrator": options.token_administrator,
        }
    started = runner.up(paths, programs, _report, **webhook)
    took = time.monotonic() - began
    _report(f"The cluster is up, after {took:.1f} s." if started else "The cluster is up already.")
    _print_environment(paths)
    return 0


def _down(paths: Layout, _: argparse.Namespace) -> int:
    if os.getuid() != 0:
        return _as_root("down", paths)
    _report("The cluster is down." if runner.down(paths, _report) else "The cluster is not up.")
    return 0


def _status(paths: Layout, _: argparse.Namespace) -> int:
    if os.getuid() != 0:
        return _as_root("status", paths)
    found = runner.status(paths)
    if not found:
        _say("The cluster is not up.")
        return _NOT_UP
    for name, version in build.versions().items():
        _say(f"{name} {version}")
    for each in found:
        state = "well" if each.problem is None else each.problem
        _say(f"{each.component.name:26} {each.pid or '-':>8} {each.component.address:24} {state}")
    _print_environment(paths)
    return 0 if all(each.problem is None for each in found) else 1


def _env(paths: Layout, _: argparse.Namespace) -> int:
    if not paths.kubeconfig.exists():
        raise RehearsalError("The cluster is not up: `python -m rehearsal.kubernetes up`.")
    _print_environment(paths)
    return 0


_COMMANDS = {"up": _up, "down": _down, "status": _status, "env": _env}


def _print_environment(paths: Layout) -> None:
    _say(f"export KUBECONFIG={paths.kubeconfig}")
    _say(f"export PATH={paths.programs}:$PATH")


def _as_root(command: str, paths: Layout, *more: str) -> int:
    if not shutil.which("sudo"):
        raise RehearsalError(f"`{command}` needs root: run it as root, or install sudo.")
    if subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode != 0:
        raise RehearsalError(
            f"`{command}` needs root and sudo asks for a password: run `sudo -v` first."
        )
    root = Path(__file__).parents[2]
    module = [sys.executable, "-m", "rehearsal.kubernetes"]
    again = [*module, command, "--folder", str(paths.folder), *more]
    return subprocess.run(["sudo", "-n", *again], cwd=root, check=False).returncode


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the command's output


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - its progress


if __name__ == "__main__":
    sys.exit(main())
