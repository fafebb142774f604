"""Measure how long a run without changes takes, and where the time is spent.

    python benchmarks/no_change.py [--rounds 5]

Each round runs three commands in turn, so that a slowdown of the machine affects all of them:

* site.yml with everything in place already;
* the equivalent docker commands: build both images (all layers cached), inspect both
  containers, send requests to both apps;
* a playbook with as many tasks as site.yml ran, which do nothing: the cost of Ansible itself.

Prints the medians and their ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PLAYBOOK = str(Path(sys.executable).with_name("ansible-playbook"))
# Actions that run in the controller's process and send nothing to the host.
LOCAL_ACTIONS = {"assert", "debug", "set_fact", "validate_argument_spec", "include_tasks"} | {
    path.stem for path in (ROOT / "action_plugins").glob("*.py")
}


def run(command: list[str], **environment: str) -> str:
    """Run a command in the project's folder and return its output; exit if it fails."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
        print(f"{' '.join(command)} failed:\n{said}", file=sys.stderr)
        # Nothing could be measured.
        sys.exit(2)
    return done.stdout


def seconds(command: list[str], **environment: str) -> float:
    """Run a command and return its wall time in seconds."""
    start = time.perf_counter()
    run(command, **environment)
    return time.perf_counter() - start


def site_report() -> dict[str, Any]:
    """Run site.yml and return Ansible's JSON report."""
    report: dict[str, Any] = json.loads(
        run([PLAYBOOK, "site.yml"], ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    )
    return report


def idle_playbook(report: dict[str, Any], hosts: str) -> tuple[str, int]:
    """Return a playbook with an idle task for each task that ran, and the number of tasks."""
    tasks: list[dict[str, Any]] = []
    for play in report["plays"]:
        for task in play["tasks"]:
            for result in task["hosts"].values():
                if result.get("skipped"):
                    continue
                action = str(result.get("action", "")).rsplit(".", 1)[-1]
                times = len(result.get("results", [None]))
                idle = (
                    {"ansible.builtin.assert": {"that": [True], "quiet": True}}
                    if action in LOCAL_ACTIONS
                    else {"ansible.builtin.ping": {}}
                )
                tasks.append(idle | {"loop": list(range(times))} if times > 1 else idle)
    play = {"hosts": hosts, "tasks": tasks}
    return json.dumps([play]), len(tasks)


def bare_docker(facts: dict[str, Any], cli: str) -> list[str]:
    """Return the equivalent docker commands, as one shell command."""
    lines = ["set -e", "export DOCKER_BUILDKIT=1"]
    for app in facts["apps"]:
        arguments = " ".join(
            f"--build-arg {key}={value}" for key, value in app["build_args"].items()
        )
        lines.append(f"{cli} build --quiet {arguments} {app['folder']}")
        lines.append(f"{cli} container inspect {app['container_name']}")
        lines += [
            f"curl --noproxy '*' -fsS 'http://127.0.0.1:{app['published_port']}{check['path']}'"
            for check in app["checks"]
        ]
    return ["sh", "-c", "\n".join(lines)]


def facts() -> dict[str, Any]:
    """Return the inventory's facts with all templates resolved."""
    output = run(
        [
            str(Path(sys.executable).with_name("ansible")),
            "docker_hosts",
            "--module-name=ansible.builtin.debug",
            "--args=var=apps",
        ],
        ANSIBLE_CALLBACK_RESULT_FORMAT="json",
        ANSIBLE_LOAD_CALLBACK_PLUGINS="true",
        ANSIBLE_STDOUT_CALLBACK="ansible.posix.json",
    )
    result = json.loads(output)["plays"][0]["tasks"][0]["hosts"]
    return dict(next(iter(result.values())))


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--docker", default="/usr/bin/docker", help="a CLI with BuildKit")
    options = parser.parse_args()

    print("Bringing everything in place …")
    site_report()
    report = site_report()
    changed = {host: stats["changed"] for host, stats in report["stats"].items()}
    if any(changed.values()):
        sys.exit(f"the second run still changed something: {changed}")
    playbook, count = idle_playbook(report, "docker_hosts")

    with tempfile.NamedTemporaryFile("w", suffix=".yml") as idle:
        idle.write(playbook)
        idle.flush()
        commands = {
            "site.yml, no change": [PLAYBOOK, "site.yml"],
            "bare docker commands": bare_docker(facts(), options.docker),
            f"Ansible alone ({count} idle tasks)": [PLAYBOOK, idle.name],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                times[name].append(seconds(command))

    medians = {name: statistics.median(values) for name, values in times.items()}
    site = next(iter(medians.values()))
    print(f"{'':36} {'min':>7} {'median':>7} {'max':>7}  of site.yml")
    for name, values in times.items():
        print(
            f"{name:36} {min(values):6.2f}s {medians[name]:6.2f}s {max(values):6.2f}s"
            f"  {medians[name] / site:7.0%}"
        )


if __name__ == "__main__":
    main()
