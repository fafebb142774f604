"""The image of a model serves it, and contains only what its form needs for predictions."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from support import ROOT
from support.site_yml import docker

if TYPE_CHECKING:
    from support.site_yml import Site

BASE = "docker-ml-api/python:base"
STARTS_WITHIN = 30.0
FOREST = '''
"""Train a forest on all of scikit-learn's diabetes data."""

from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

from model.service.training import Training


def train() -> Training:
    """Fit twenty trees."""
    data = load_diabetes(as_frame=True)
    target = data.target.to_numpy()
    fitted, held_out, known, unknown = train_test_split(data.data, target, random_state=0)
    estimator = RandomForestRegressor(n_estimators=20, random_state=0)
    r2 = r2_score(unknown, estimator.fit(fitted, known).predict(held_out))
    return Training(
        name="forest",
        estimator=estimator.fit(data.data, target),
        frame=data.data,
        target=target,
        target_name="disease progression",
        dataset="sklearn.datasets.load_diabetes",
        metrics={"r2": r2},
        evaluation="a held-out quarter",
        floors={"r2": 0.1},
    )
'''


def locked(name: str) -> set[str]:
    """Return the packages of a requirements file of the model."""
    text = (ROOT / "model" / name).read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))


@dataclass
class Container:
    """A container of an image, with two workers, and restricted as on a cluster."""

    name: str
    image: str

    def __enter__(self) -> Self:
        docker(
            "run", "--detach", f"--name={self.name}", "--env=WEB_CONCURRENCY=2",
            "--publish=127.0.0.1::8080", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL",
            "--security-opt=no-new-privileges", "--memory=256m", self.image,
        )  # fmt: skip
        self.port = int(docker("port", self.name, "8080/tcp").rpartition(":")[2])
        return self

    def __exit__(self, *_: object) -> None:
        docker("rm", "--force", "--volumes", self.name)

    def ask(self, path: str, body: Any = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        with contextlib.closing(connection):
            if body is None:
                connection.request("GET", path, headers=headers)
            else:
                connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
        assert answer.status == HTTPStatus.OK, content
        return content

    def ready_after(self) -> float:
        """Wait for the first answer; return the seconds since the container's start."""
        end = time.monotonic() + STARTS_WITHIN
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                assert self.ask("/isAlive") == b"true"
                break
            assert time.monotonic() < end, docker("logs", self.name)
            time.sleep(0.005)
        answered = time.time()
        started = docker("inspect", "--format={{.State.StartedAt}}", self.name)
        # Python before 3.11.4 does not accept nanoseconds.
        begun = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z", r"\1+00:00", started))
        return answered - begun.timestamp()

    def memory(self) -> float:
        """Return the server's memory in megabytes; what its processes share is counted once."""
        # A health check may be running, too.
        listed = [line.split() for line in docker("top", self.name, "-o", "pid,args").splitlines()]
        pids = [pid for pid, *command in listed if "model.main" in command]
        rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text("ascii") for pid in pids]
        found = [re.search(r"^Pss: +(\d+) kB", text, re.MULTILINE) for text in rollups]
        return sum(int(one[1]) for one in found if one) * 1024 / 1e6

    def python(self, program: str) -> Any:
        """Run a Python program in the container; return its output, parsed as JSON."""
        return json.loads(docker("exec", self.name, "python", "-c", program))


@pytest.fixture(scope="module")
def images(site: Site) -> dict[str, str]:
    """Return an image of each form: one of the project's model, and one of another model."""
    site.run("--tags=images").ok()
    image = f"{site.prefix}diabetes:v1"
    linear = f"{site.prefix}linear:v1"
    docker("tag", image, linear)
    (site.folder / "model" / "train.py").write_text(FOREST, encoding="utf-8")
    assert site.run("--tags=images").ok().changed == [f"image : Build {image}"]
    return {"coefficients": linear, "onnx": image}


def size(image: str) -> float:
    """Return how many megabytes an image adds to its base."""
    both = docker("image", "inspect", "--format={{.Size}}", image, BASE).split()
    return (int(both[0]) - int(both[1])) / 1e6


PACKAGES = """
import importlib.metadata, json
names = [one.name.lower().replace("_", "-") for one in importlib.metadata.distributions()]
print(json.dumps(names))
"""
FILES = """
import json, pathlib
folder = pathlib.Path("model/artifact")
print(json.dumps([str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()]))
"""
# Lists the modules that the server imports, but whose bytecode is missing in the image.
UNCOMPILED = """
import importlib.util, json, os, sys
import model.service.serving.server
from model.main import load_app
load_app()
specs = [getattr(module, "__spec__", None) for module in list(sys.modules.values())]
files = {spec.origin for spec in specs if spec and str(spec.origin).endswith(".py")}
cached = importlib.util.cache_from_source
print(json.dumps(sorted(file for file in files if not os.path.exists(cached(file)))))
"""
# Returns whether machine code computes the predictions from columns of numbers.
COMPILED = """
import json, pathlib
from model.service.contract.loading import load_predictor
print(json.dumps(load_predictor(pathlib.Path("model/artifact")).weighted_sum is not None))
"""
REQUIREMENTS = {"coefficients": "requirements.txt", "onnx": "requirements-onnx.txt"}


@pytest.mark.parametrize("form", REQUIREMENTS)
def test_it_serves_with_what_its_form_needs(
    images: dict[str, str], form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image = images[form]
    with Container(f"{image.partition(':')[0]}-{form}", image) as container:
        ready = container.ready_after()
        card = json.loads(container.ask("/model"))
        assert card["form"] == form

        column = {one["name"]: [one["median"]] for one in card["features"]}
        answer = json.loads(container.ask("/v1/predictions", {"columns": column}))
        least, most = card["target_range"]
        assert least < answer["predictions"][0] < most
        assert b"predictions_total 1.0" in container.ask("/metrics")

        memory = container.memory()
        with capsys.disabled():
            sys.stdout.write(
                f"\n{form}: image {size(image):.1f} MB above its base, first answer after "
                f"{ready:.2f} s, {memory:.1f} MB of memory for 2 workers\n"
            )
        # Exactly the locked packages: a linear model's image has neither numpy nor scikit-learn.
        assert set(container.python(PACKAGES)) == locked(REQUIREMENTS[form])
        assert container.python(UNCOMPILED) == []
        # Without the estimator itself, since another form of it is served.
        assert {*container.python(FILES)} == {"card.json", *card["files"]} - {"model.skops"}
        assert container.python(COMPILED) is (form == "coefficients")
        if form == "coefficients":
            assert size(image) < 60
            assert memory < 60


def test_requirements_say_what_the_forms_need() -> None:
    numerical = {"numpy", "scipy", "scikit-learn", "pandas", "onnxruntime", "skops"}
    needed = {
        form: locked(f"requirements{part}.txt") & numerical
        for form, part in (("coefficients", ""), ("onnx", "-onnx"), ("estimator", "-estimator"))
    }
    assert needed == {
        "coefficients": set(),
        "onnx": {"numpy", "onnxruntime"},
        "estimator": numerical - {"onnxruntime"},
    }
