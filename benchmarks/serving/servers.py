"""The servers: ours, and others for scikit-learn models, each set up as its documentation says.

Peers write no access log if a setting can disable it. Ours runs as shipped, with its log, metrics
and limits.
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import string
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.serving import questions
from benchmarks.serving.environments import SERVING
from benchmarks.serving.errors import MeasurementError
from benchmarks.serving.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from benchmarks.serving.questions import Form

LINEAR, FOREST, MIXED = "linear", "forest", "mixed"
MODELS = (LINEAR, FOREST, MIXED)
WORKERS = 2
OURS, SEED, MLFLOW, BENTOML, BATCHED, MLSERVER, LITSERVE, FASTAPI, GO = (
    "ours",
    "seed",
    "mlflow",
    "bentoml",
    "bentoml-batching",
    "mlserver",
    "litserve",
    "fastapi",
    "go",
)
PEERS = SERVING / "peers"
SAVE_AT_MOST = 180
NGINX_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/sbin")


@dataclass(frozen=True)
class Place:
    """Where a server runs.

    environment: its virtual environment, or the folder of the Go programs. prepared: the model's
    files, see prepare.py. folder: its own folder, new and empty.
    """

    environment: Path
    prepared: Path
    folder: Path
    port: int
    model: str

    @property
    def variables(self) -> dict[str, str]:
        """The environment of each server; only PATH is inherited from this process."""
        return {
            "PATH": f"{self.environment / 'bin'}:{os.environ.get('PATH', os.defpath)}",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "TMPDIR": str(self.folder),
            "PYTHONUNBUFFERED": "1",
            # A single row cannot be parallelized.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "FOLDER": str(self.folder),
            "MODEL": str(self.prepared / "model.pkl"),
            "PORT": str(self.port),
            "WORKERS": str(WORKERS),
            # No server may send telemetry or check for updates.
            "DO_NOT_TRACK": "1",
            "BENTOML_DO_NOT_TRACK": "True",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "NO_PROXY": "*",
        }

    def program(self, name: str) -> str:
        """Return the path of a program of the environment."""
        return str(self.environment / "bin" / name)


@dataclass(frozen=True)
class Start:
    """A command, its working folder, and variables in addition to those of the place."""

    command: list[str]
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """A kind of server.

    environment: the name of its virtual environment. single: the form for one row, by model;
    batch: the form for many rows of the linear model; exact: its text is numpy's, byte for byte.
    """

    name: str
    title: str
    environment: str
    start: Callable[[Place], Start]
    single: Mapping[str, Form]
    batch: Form | None = None
    exact: bool = False


def _ours(place: Place) -> Start:
    return Start(
        [place.program("python"), "-m", "model.main"],
        place.prepared,
        {"PREDICTION_HOST": "127.0.0.1", "WEB_CONCURRENCY": str(WORKERS)},
    )


def nginx() -> str:
    """Return the path of nginx. Raises MeasurementError if it is missing."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *NGINX_FOLDERS))
    found = shutil.which("nginx", path=path)
    if not found:
        raise MeasurementError(f"nginx is missing: run scripts/setup-serving, or leave {SEED} out.")
    return found


def _seed(place: Place) -> Start:
    template = string.Template((PEERS / SEED / "nginx.conf").read_text(encoding="utf-8"))
    configuration = template.substitute(
        user=getpass.getuser(),
        workers=WORKERS,
        folder=place.folder,
        port=place.port,
        uwsgi_params="/etc/nginx/uwsgi_params",
    )
    (place.folder / "nginx.conf").write_text(configuration, encoding="utf-8")
    return Start(["./start", str(place.environment), nginx()], PEERS / SEED)


def _mlflow(place: Place) -> Start:
    saved = place.prepared / MLFLOW
    if not saved.is_dir():
        command = [place.program("python"), str(PEERS / MLFLOW / "save.py")]
        asked = place.prepared / "questions.json"
        done = subprocess.run(
            [*command, str(place.prepared / "model.pkl"), str(asked), str(saved)],
            cwd=place.folder,
            env=place.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SAVE_AT_MOST,
            check=False,
        )
        if done.returncode:
            raise MeasurementError(f"the model could not be saved: {done.stderr.strip()[-1000:]}")
    return Start(
        [
            *(place.program("mlflow"), "models", "serve", "--model-uri", str(saved)),
            *("--host", "127.0.0.1", "--port", str(place.port), "--workers", str(WORKERS)),
            *("--env-manager", "local"),
        ],
        place.folder,
    )


def _bentoml(service: str) -> Callable[[Place], Start]:
    def start(place: Place) -> Start:
        return Start(
            [
                *(place.program("bentoml"), "serve", f"service:{service}"),
                *("--working-dir", str(PEERS / BENTOML)),
                *("--host", "127.0.0.1", "--port", str(place.port)),
            ],
            place.folder,
            {"BENTOML_HOME": str(place.folder / "bentoml")},
        )

    return start


def _mlserver(place: Place) -> Start:
    settings = {
        "name": "model",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(place.prepared / "model.pkl")},
    }
    (place.folder / "model-settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (place.folder / "settings.json").write_text(
        # One process: with separate processes for inference, it uses twice as much CPU.
        json.dumps({"debug": False, "parallel_workers": 0, "host": "127.0.0.1"}),
        encoding="utf-8",
    )
    # MLServer listens on two further ports that are not used here.
    ports = {"HTTP": place.port, "GRPC": free_port(), "METRICS": free_port()}
    return Start(
        [place.program("mlserver"), "start", "."],
        place.folder,
        {f"MLSERVER_{name}_PORT": str(port) for name, port in ports.items()},
    )


def _litserve(place: Place) -> Start:
    return Start([place.program("python"), str(PEERS / LITSERVE / "server.py")], place.folder)


def _fastapi(place: Place) -> Start:
    return Start(
        [
            *(place.program("uvicorn"), f"{place.model}:app", "--host", "127.0.0.1"),
            *("--port", str(place.port), "--workers", str(WORKERS), "--no-access-log"),
        ],
        PEERS / FASTAPI,
    )


def _go(place: Place) -> Start:
    return Start(
        [str(place.environment / "server")],
        place.folder,
        {"LINE": str(place.prepared / "line.json"), "GOMAXPROCS": str(WORKERS)},
    )


KINDS = {
    kind.name: kind
    for kind in (
        Kind(OURS, "docker-ml-api", OURS, _ours, dict.fromkeys(MODELS, questions.TEXT),
             questions.OURS_BATCH, exact=True),
        Kind(SEED, "the seed's way: nginx, uWSGI, Flask", SEED, _seed, {LINEAR: questions.TEXT},
             exact=True),
        Kind(MLFLOW, "MLflow models serve", MLFLOW, _mlflow, {LINEAR: questions.MLFLOW},
             questions.MLFLOW),
        Kind(BENTOML, "BentoML", BENTOML, _bentoml("Plain"), {LINEAR: questions.BENTOML},
             questions.BENTOML),
        Kind(BATCHED, "BentoML, adaptive batching", BENTOML, _bentoml("Batched"),
             {LINEAR: questions.BENTOML}, questions.BENTOML),
        Kind(MLSERVER, "MLServer", MLSERVER, _mlserver,
             {LINEAR: questions.MLSERVER, FOREST: questions.MLSERVER,
              MIXED: questions.MLSERVER_COLUMNS}, questions.MLSERVER),
        Kind(LITSERVE, "LitServe", LITSERVE, _litserve, {LINEAR: questions.LITSERVE},
             questions.LITSERVE),
        Kind(FASTAPI, "FastAPI, uvicorn, scikit-learn", FASTAPI, _fastapi,
             dict.fromkeys(MODELS, questions.FASTAPI), questions.FASTAPI_BATCH),
        Kind(GO, "Go net/http", GO, _go, {LINEAR: questions.TEXT}, exact=True),
    )
}  # fmt: skip


def titles() -> dict[str, str]:
    """Return the titles of the servers by name."""
    return {name: kind.title for name, kind in KINDS.items()}
