"""The command line: python -m rehearsal.gke up | down | status | env."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from rehearsal.gke import layout, runner
from rehearsal.gke.environment import for_ansible, for_gcloud
from rehearsal.gke.layout import Layout
from rehearsal.gke.requestlog import RequestLog
from rehearsal.kubernetes.errors import RehearsalError

_NOT_UP = 3
_OPTIONS = ("address", "proxy_port", "plain_port", "kubernetes", "token_seconds")


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
        prog="python -m rehearsal.gke",
        description="A double of the Google APIs that a GKE run calls, on this machine.",
    )
    parser.add_argument("command", choices=_COMMANDS, metavar="up|down|status|env")
    parser.add_argument(
        "--folder",
        type=Path,
        default=layout.DEFAULT_FOLDER,
        help="where the double lives (default: %(default)s)",
    )
    up = parser.add_argument_group("up", "What is not given stays as it was chosen before.")
    up.add_argument(
        "--kubernetes",
        type=lambda text: str(Path(text).resolve()),
        metavar="DIR",
        help="the folder of a rehearsal.kubernetes that stands for every cluster",
    )
    up.add_argument("--address", help=f"to listen at (default: {layout.ADDRESS})")
    up.add_argument("--proxy-port", type=int, help=f"default: {layout.PROXY_PORT}")
    up.add_argument("--plain-port", type=int, help=f"default: {layout.PLAIN_PORT}")
    up.add_argument("--token-seconds", type=float, help="how long access tokens are good")
    up.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="a setting of rehearsal/gke/model/settings.py: --set create_cluster_seconds=30",
    )
    env = parser.add_argument_group("env")
    env.add_argument(
        "--for",
        dest="client",
        choices=_ENVIRONMENTS,
        default="gcloud",
        help="whose environment (default: %(default)s)",
    )
    return parser


def _setting(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=JSON")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _up(paths: Layout, options: argparse.Namespace) -> int:
    chosen = {
        name: value for name in _OPTIONS if (value := getattr(options, name)) is not None
    } | dict(options.set)
    started = runner.up(paths, chosen, _report)
    _report("The double is up." if started else "The double is up already.")
    return _env(paths, options)


def _down(paths: Layout, _: argparse.Namespace) -> int:
    _report("The double is down." if runner.down(paths) else "The double is not up.")
    return 0


def _status(paths: Layout, options: argparse.Namespace) -> int:
    found = runner.status(paths)
    if found is None:
        _say("The double is not up.")
        return _NOT_UP
    state = "well" if found.problem is None else found.problem
    _say(f"googleapis.com by proxy    {found.pid or '-':>8} {found.proxy_url:28} {state}")
    _say(f"plain HTTP                 {found.pid or '-':>8} {found.plain_url:28} {state}")
    _say(f"requests                   {paths.requests}")
    for line in _summary(paths):
        _say(f"  {line}")
    if found.problem is not None:
        return 1
    _print_environment(paths, found, options.client)
    return 0


def _env(paths: Layout, options: argparse.Namespace) -> int:
    found = runner.status(paths)
    if found is None or found.problem is not None:
        raise RehearsalError("The double is not up: `python -m rehearsal.gke up`.")
    _print_environment(paths, found, options.client)
    return 0


def _serve(paths: Layout, _: argparse.Namespace) -> int:
    runner.serve(paths.folder)
    return 0


_COMMANDS = {"up": _up, "down": _down, "status": _status, "env": _env, "serve": _serve}


def _summary(paths: Layout) -> list[str]:
    """Return the number of calls of each method; mutating methods are marked with `*`."""
    entries = RequestLog(paths.requests).entries()
    counted = Counter(
        (entry["method_id"] or f"refused: {entry['host']}", entry["mutating"]) for entry in entries
    )
    return [
        f"{count:6} {'*' if mutating else ' '} {name}"
        for (name, mutating), count in sorted(counted.items())
    ]


_ENVIRONMENTS = ("gcloud", "ansible")


def _print_environment(paths: Layout, found: runner.Status, client: str) -> None:
    project = found.options.get("project", layout.PROJECT)
    if client == "gcloud":
        environment = for_gcloud(paths, found.plain_url, project)
    else:
        environment = for_ansible(paths, found.proxy_url, project)
    for name, value in environment.items():
        _say(f"export {name}={shlex.quote(value)}")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the command's output


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - its progress


if __name__ == "__main__":
    sys.exit(main())
