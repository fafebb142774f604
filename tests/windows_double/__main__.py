"""The machines by command line, for playbooks: python -m windows_double FOLDER COMMAND …"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path

from windows_double import catalogue
from windows_double.machine import Faults, Machine
from windows_double.world import World


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="windows_double", description=__doc__)
    parser.add_argument("folder", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="make machines anew: NAME or NAME=KIND")
    make.add_argument("machines", nargs="+")
    change = commands.add_parser("set", help="change a machine: KEY=VALUE, faults.KEY=VALUE …")
    change.add_argument("machine")
    change.add_argument("values", nargs="+")
    commands.add_parser("states", help="all that is on the machines, as JSON")
    table = commands.add_parser("table", help="what was called, as a table")
    table.add_argument("machines", nargs="*")
    calls = commands.add_parser("calls", help="what was called, as JSON")
    calls.add_argument("machine")
    commands.add_parser("forget", help="empty the records of what was called")
    given = parser.parse_args()
    world = World(given.folder)
    if given.command == "make":
        for one in given.machines:
            name, _, kind = one.partition("=")
            world.add(catalogue.make(name, kind))
    elif given.command == "set":
        with world.machine(given.machine) as machine:
            for one in given.values:
                _set(machine, *one.split("=", 1))
    elif given.command == "forget":
        world.forget_calls()
    else:
        sys.stdout.write(_told(world, given) + "\n")


def _told(world: World, given: argparse.Namespace) -> str:
    if given.command == "states":
        return json.dumps(world.states(), sort_keys=True)
    if given.command == "calls":
        return json.dumps(world.calls(given.machine))
    return "\n".join(world.table(name) for name in given.machines or world.names)


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
