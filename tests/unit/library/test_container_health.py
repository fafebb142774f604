"""The module against real containers."""

import importlib
import shutil
from pathlib import Path

import container_health
import pytest

from support.run_module import run_module


@pytest.fixture
def run(engine):
    busybox = shutil.which("busybox")
    assert busybox, "These tests need a static program: apt-get install busybox-static"
    reference = engine.name("busybox:1")
    engine.make_image(reference, files={"busybox": Path(busybox).read_bytes()})

    def run(script, check=None, **options):
        health = {"test": ["CMD", "/busybox", "sh", "-c", check], "interval": 10**8, "retries": 2}
        container = engine.client.containers.run(
            reference,
            ["/busybox", "sh", "-c", script],
            name=engine.name("c"),
            detach=True,
            init=False,
            healthcheck=health if check else None,
            **options,
        )
        return container.name

    return run


FOREVER = "while :; do /busybox sleep 1; done"


def ask(capsys, name, **options):
    return run_module(container_health, capsys, names=[name], **options)


def test_healthy(engine, run, capsys):
    name = run(FOREVER, check="exit 0")
    answer = ask(capsys, name)
    assert answer["containers"] == {name: engine.client.containers.get(name).id}
    assert not answer["changed"]


def test_without_a_check(run, capsys):
    assert not ask(capsys, run(FOREVER)).get("failed")


def test_unhealthy(run, capsys):
    name = run(f"echo I could not; {FOREVER}", check="echo refused; exit 1")
    assert ask(capsys, name)["msg"] == (
        f"The container {name} is unhealthy; its health check last said: refused."
        " Its last log lines:\nI could not"
    )


def test_crashing(run, capsys):
    # Both lines are written at once, so that the log is never read between them.
    name = run(r"printf 'one\ntwo\n'; exit 3", restart_policy={"Name": "always"})
    message = ask(capsys, name, log_lines=1)["msg"]
    # The last check may find it running again.
    assert message.startswith(f"The container {name} ")
    assert message.endswith(" Its last log lines:\ntwo")


def test_too_slow(run, capsys):
    name = run(FOREVER, check="sleep 5")
    assert f"{name} did not become healthy within 0 s" in ask(capsys, name, timeout=0)["msg"]


def test_removed_meanwhile(engine, capsys):
    name = engine.name("gone")
    assert ask(capsys, name)["msg"] == f"There is no container {name} any more."


@pytest.mark.usefixtures("no_engine")
def test_no_engine(capsys):
    assert ask(capsys, "x")["msg"].startswith("The Docker engine does not answer: ")


@pytest.mark.usefixtures("no_docker_package")
def test_no_docker_package(capsys):
    module = importlib.reload(container_health)
    answer = run_module(module, capsys, names=[])
    assert answer["failed"]
    assert "(docker)" in answer["msg"]
