"""Command line of the machines, for playbooks: python -m support.windows_double FOLDER COMMAND …"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path

from support.windows_double import catalogue
from support.windows_double.machine import Faults, Machine
from support.windows_double.world import World


def main() -> None:
    """Run the command of the command line."""
    parser = argparse.ArgumentParser(prog="windows_double", description=__doc__)
    parser.add_argument("folder", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="make machines anew: NAME or NAME=KIND")
    make.add_argument("machines", nargs="+")
    commands.add_parser(
        "set", help='change machines; read from stdin: {NAME: ["KEY=VALUE", "faults.KEY=VALUE"]}'
    )
    commands.add_parser("states", help="all that is on the machines, as JSON")
    table = commands.add_parser("table", help="what was called, as a table")
    table.add_argument("machines", nargs="*")
    commands.add_parser("runs", help="of each machine and run: how many calls, how many changes")
    restart = commands.add_parser("restart", help="restart machines, as a person there would")
    restart.add_argument("machines", nargs="+")
    given = parser.parse_args()
    world = World(given.folder)
    if given.command == "make":
        for one in given.machines:
            name, _, kind = one.partition("=")
            world.add(catalogue.make(name, kind))
    elif given.command == "set":
        for name, values in json.load(sys.stdin).items():
            with world.machine(name) as machine:
                for one in values:
                    _set(machine, *one.split("=", 1))
    elif given.command == "restart":
        for one in given.machines:
            with world.machine(one) as machine:
                machine.restart()
                machine.down_for = None
    else:
        sys.stdout.write(_told(world, given) + "\n")


def _told(world: World, given: argparse.Namespace) -> str:
    if given.command == "states":
        return json.dumps(world.states(), sort_keys=True)
    if given.command == "runs":
        return json.dumps({name: _runs(world, name) for name in world.names})
    return "\n".join(world.table(name) for name in given.machines or world.names)


def _runs(world: World, name: str) -> list[dict[str, object]]:
    return [
        {
            "check_mode": run.check_mode,
            "calls": len(run.calls),
            "changes": [call["module"].rpartition(".")[2] for call in run.changes],
        }
        for run in world.runs(name)
    ]


def _set(machine: Machine, key: str, text: str) -> None:
    value = json.loads(text)
    if key == "faults" and value == {}:
        machine.faults = Faults()
        return
    if key.startswith("web."):
        for page in machine.web.values():
            setattr(page, key.removeprefix("web."), value)
        return
    part, _, name = key.rpartition(".")
    owner = getattr(machine, part) if part else machine
    if name not in {field.name for field in fields(owner)}:
        raise SystemExit(f"A machine has no {key}.")
    setattr(owner, name, value)


if __name__ == "__main__":
    main()
