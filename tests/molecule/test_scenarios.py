"""Molecule's scenarios, each run by `molecule test`."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT, ansible_server, processes

MOLECULE = Path(sys.executable).with_name("molecule")
SCENARIOS = sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml"))
WITHIN = 2400
# These stop the rehearsal's cluster if they started it; other tests use it, so it is up before.
ON_THE_CLUSTER = {"gke", "kubernetes"}


@pytest.fixture
def needed(request: pytest.FixtureRequest, scenario: str) -> None:
    """Start the cluster first, if the scenario uses the one that tests share."""
    if scenario in ON_THE_CLUSTER:
        request.getfixturevalue("cluster")


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.usefixtures("needed")
def test_scenario(scenario: str, tmp_path: Path) -> None:
    output = tmp_path / "output"
    with contextlib.ExitStack() as stack:
        written = stack.enter_context(output.open("w", encoding="utf-8"))
        # Its runs of Ansible are forked (see ansible_server.py), except those that fresh_machine
        # calls as a user does.
        forked = stack.enter_context(ansible_server.program(tmp_path))
        # Molecule also calls other programs of Ansible.
        programs = [forked, MOLECULE.parent, os.environ["PATH"]]
        process = subprocess.Popen(
            [MOLECULE, "test", f"--scenario-name={scenario}"],
            cwd=ROOT,
            env=os.environ
            | {
                "ANSIBLE_NOCOLOR": "1",
                "NO_COLOR": "1",
                "PATH": os.pathsep.join(map(str, programs)),
            },
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
        )
        try:
            status = process.wait(WITHIN)
        finally:
            if process.poll() is None:
                processes.kill_all(process.pid)
    said = output.read_text(encoding="utf-8")
    assert status == 0, said[-8000:]
    # Molecule's recap says "Successful" even if a scenario failed, so only the exit status is
    # reliable; this checks that the steps were executed.
    for step in ("converge", "verify", "destroy"):
        assert f"{scenario} > {step}] Executed" in said.replace(" ➜ ", " > "), said[-8000:]
