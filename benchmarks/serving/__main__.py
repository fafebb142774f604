"""Compare the prediction service with other model servers, in interleaved rounds of one run.

    python -m benchmarks.serving [--rounds 3] [--seconds 3] [--peers go,fastapi] [--output FOLDER]

Each round starts every server in turn on this machine's loopback interface, with two workers each,
compares its predictions with scikit-learn's, measures it, and stops it. The results are tables
(report.txt, report.md), a plot (plot.svg), and the values of all rounds (results.json).

Exit status: 0 measured, 1 with --strict if a target is missed, 2 something could not be measured
or a prediction was wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

from benchmarks.serving import environments, preparation, report
from benchmarks.serving.errors import MeasurementError
from benchmarks.serving.load import Generator
from benchmarks.serving.measure import MEGA, Contest
from benchmarks.serving.servers import GO, KINDS, LINEAR, MODELS, OURS, SEED, nginx, titles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.serving.preparation import Prepared
    from benchmarks.serving.report import Rounds
    from benchmarks.serving.servers import Kind

CANNOT_MEASURE = 2
TOOLS = "tools"
# With fewer CPUs, the servers and the load generator share all of them.
CPUS_TO_SHARE = 4
RESULTS = environments.ROOT / ".cache" / "benchmarks" / "serving"
PLOT_AT_MOST = 120


def split_cpus(available: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the CPUs of the servers and of the load generator; none if they share all CPUs."""
    cpus = sorted(available)
    if len(cpus) < CPUS_TO_SHARE:
        return [], []
    # The servers have two workers.
    return cpus[:2], cpus[2:]


def peers(text: str) -> list[str]:
    """Return the names in a comma-separated list."""
    names = [name for name in text.split(",") if name]
    if unknown := [name for name in names if name not in KINDS or name == OURS]:
        known = ", ".join(name for name in KINDS if name != OURS)
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: known are {known}")
    return list(dict.fromkeys(names))


def up_to(most: int) -> Callable[[str], int]:
    """Return an argparse type for a whole number from 1 to `most`."""

    def read(text: str) -> int:
        if not (text.isdecimal() and 1 <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text}: give a whole number from 1 to {most}")
        return int(text)

    return read


def order(names: Sequence[str], number: int) -> list[str]:
    """Return the servers in a round's order: each round starts with a different server."""
    start = number % len(names)
    return [*names[start:], *names[:start]]


def environment_name(kind: Kind, model: Prepared) -> str:
    """Return the name of the environment in which a server runs for a model."""
    return preparation.our_environment(model.form) if kind.name == OURS else kind.environment


def say(words: str) -> None:
    """Print progress."""
    print(words, flush=True)


def installed_mb(kind: Kind, contest: Contest) -> float:
    """Return the size of a server in MB, without its language: packages and model, or program."""
    if kind.name == GO:
        return (contest.environments[GO] / "server").stat().st_size / MEGA
    model = contest.models[LINEAR]
    environment = contest.environments[environment_name(kind, model)]
    size = environments.installed_bytes(environments.site_packages(environment))
    if kind.name == OURS:
        size += environments.installed_bytes(model.folder / "model")
    return size / MEGA


def ready(names: Sequence[str], seconds: float, scratch: Path) -> Contest:
    """Prepare environments, models and programs. Raises MeasurementError."""
    cache = environments.cache_folder(os.environ)
    if SEED in names:
        nginx()
    programs = environments.ensure_programs(cache, say)
    found = {TOOLS: environments.ensure_environment(cache, TOOLS, say), GO: programs}
    models = {}
    for model in MODELS:
        say(f"Building the model {model} …")
        models[model] = preparation.prepare(found[TOOLS], scratch / model, model)
        say(f"  Its form is {models[model].form}.")
    for model, name in contestants(names):
        environment = environment_name(KINDS[name], models[model])
        if environment not in found:
            found[environment] = environments.ensure_environment(cache, environment, say)
    server_cpus, load_cpus = split_cpus(list(os.sched_getaffinity(0)))
    if load_cpus:
        os.sched_setaffinity(0, load_cpus)
    generator = Generator(programs / "load", scratch, load_cpus)
    return Contest(found, models, generator, server_cpus, seconds, scratch)


def measure(contest: Contest, names: Sequence[str], number_of_rounds: int, rounds: Rounds) -> None:
    """Measure all servers, round by round; adds values to `rounds`. Raises MeasurementError."""
    for model, name in contestants(names):
        rounds.setdefault(model, {})[name] = {}
    for number in range(number_of_rounds):
        for model, name in contestants(order(names, number)):
            kind = KINDS[name]
            environment = environment_name(kind, contest.models[model])
            figures = contest.measure(kind, model, environment)
            if model == LINEAR:
                figures["installed_mb"] = installed_mb(kind, contest)
            for figure, value in figures.items():
                rounds[model][name].setdefault(figure, []).append(value)
            say(
                f"  round {number + 1}, {model}, {name}: {figures['cpu_us']:,.0f} µs, "
                f"{figures['rate']:,.0f}/s"
            )


def contestants(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return all pairs of a model and a server of this model."""
    return [(model, name) for name in names for model in KINDS[name].single]


def write(rounds: Rounds, tools: Path, options: argparse.Namespace) -> str:
    """Write the results, and return the tables as text. Raises MeasurementError."""
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "seconds": options.seconds,
        "titles": titles(),
        "rounds": rounds,
        "verdicts": [
            {"target": one.sentence, "found": one.found, "limit": one.limit, "met": one.met}
            for one in report.verdicts(rounds)
        ],
    }
    (folder / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    tables = report.tables(rounds, titles())
    text = report.text(tables)
    (folder / "report.txt").write_text(f"{text}\n", encoding="utf-8")
    (folder / "report.md").write_text(report.markdown(tables), encoding="utf-8")
    script = environments.SERVING / "plot.py"
    done = subprocess.run(
        [
            *(str(tools / "bin" / "python"), str(script)),
            *(str(folder / "results.json"), str(folder / "plot.svg")),
        ],
        env={"HOME": str(tools), "PATH": os.defpath, "MPLCONFIGDIR": str(tools)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PLOT_AT_MOST,
        check=False,
    )
    if done.returncode:
        raise MeasurementError(f"the figures could not be drawn: {done.stderr.strip()[-1000:]}")
    return text


def _stop(number: int, _frame: object) -> Never:
    """Exit on a signal, so that everything started is stopped."""
    sys.exit(128 + number)


def main() -> None:
    """Run the benchmark, write the results and print them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=str(__doc__).splitlines()[0]
    )
    every = [name for name in KINDS if name != OURS]
    parser.add_argument("--rounds", type=up_to(100), default=3, help="default: %(default)s")
    parser.add_argument(
        "--seconds", type=up_to(60), default=3, help="of each load; default: %(default)s"
    )
    parser.add_argument("--peers", type=peers, default=every, help=f"default: {','.join(every)}")
    parser.add_argument("--output", type=Path, default=RESULTS, help="default: %(default)s")
    parser.add_argument("--strict", action="store_true", help="a missed target is exit status 1")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)

    rounds: Rounds = {}
    with contextlib.ExitStack() as stack:
        scratch = Path(tempfile.mkdtemp(prefix="benchmark-serving-"))
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        # A server's workers may run as another user.
        scratch.chmod(0o755)
        try:
            names = [OURS, *options.peers]
            contest = ready(names, options.seconds, scratch)
            try:
                measure(contest, names, options.rounds, rounds)
            finally:
                # Partial results are written, too.
                if any(found for servers in rounds.values() for found in servers.values()):
                    text = write(rounds, contest.environments[TOOLS], options)
                    say(f"\n{text}\n\nWritten to {options.output}.")
        except MeasurementError as error:
            print(f"Cannot measure: {error}", file=sys.stderr)
            sys.exit(CANNOT_MEASURE)
    missed = [one for one in report.verdicts(rounds) if one.met is False]
    sys.exit(int(options.strict and bool(missed)))


if __name__ == "__main__":
    main()
