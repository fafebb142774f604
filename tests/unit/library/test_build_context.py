"""The module against the real engine."""

import importlib
from pathlib import Path

import build_context
import pytest

from support.run_module import run_module

LABELS = {"made-by": "test"}


@pytest.fixture
def build(engine, tmp_path):
    engine.make_image(engine.name("base:1"))
    (tmp_path / "Dockerfile").write_text("ARG BASE=scratch\nFROM ${BASE}\nCOPY . .\n")
    (tmp_path / "main.py").write_text("print()")
    return {
        "name": "app",
        "folder": str(tmp_path),
        "image": engine.name("app:1"),
        "build_args": {"BASE": engine.name("base:1"), "NUMBER": 7},
    }


def examine(capsys, build, **options):
    answer = run_module(build_context, capsys, builds=[build], labels=LABELS, **options)
    assert not answer["changed"]
    return answer["builds"][0]


def test_no_image_yet(engine, build, capsys):
    found = examine(capsys, build)
    base = engine.client.images.get(engine.name("base:1")).id
    assert (
        found.items()
        >= {
            "name": "app",
            "folder": build["folder"],
            "image": build["image"],
            "build_args": {"BASE": engine.name("base:1"), "NUMBER": "7"},
            "up_to_date": False,
            "reason": "no image yet",
            "image_id": "",
            "base_images": {engine.name("base:1"): base},
        }.items()
    )
    assert sorted(found["labels"]) == [
        "docker-ml-api.build-context",
        "docker-ml-api.build-context.arguments",
        "docker-ml-api.build-context.base-images",
        "docker-ml-api.build-context.sources",
        "made-by",
    ]


@pytest.fixture
def built(engine, build, capsys):
    labels = examine(capsys, build)["labels"]
    image_id = engine.make_image(build["image"], labels)
    assert examine(capsys, build).items() >= {"up_to_date": True, "image_id": image_id}.items()
    return build


def change_sources(_engine, build):
    Path(build["folder"], "main.py").write_text("print(2)")


def change_base(engine, _build):
    engine.make_image(engine.name("base:1"), content="newer")


def change_arguments(_engine, build):
    build["build_args"]["NUMBER"] = 8


def use_other_base(engine, build):
    build["build_args"]["BASE"] = engine.name("nowhere:1")


CHANGES = {
    "sources": (change_sources, "sources changed"),
    "base": (change_base, "base image changed"),
    "arguments": (change_arguments, "build arguments or labels changed"),
    "other base": (
        use_other_base,
        "base image changed, build arguments or labels changed",
    ),
}


@pytest.mark.parametrize(("change", "reason"), CHANGES.values(), ids=CHANGES)
def test_why_it_has_to_be_built(engine, built, capsys, change, reason):
    change(engine, built)
    assert examine(capsys, built).items() >= {"up_to_date": False, "reason": reason}.items()


def test_an_image_that_was_built_by_hand(engine, build, capsys):
    engine.make_image(build["image"])
    assert examine(capsys, build)["reason"] == "the image of that name was not built from here"


@pytest.mark.usefixtures("no_engine")
def test_without_asking_the_engine(build, capsys):
    found = examine(capsys, build, ask_engine=False)
    assert (found["reason"], found["image_id"]) == ("no image yet", "")


@pytest.mark.usefixtures("no_engine")
def test_no_engine(build, capsys):
    answer = run_module(build_context, capsys, builds=[build])
    assert answer["failed"]
    assert answer["msg"].startswith("The Docker engine does not answer: ")


def test_no_dockerfile(build, capsys, tmp_path):
    (tmp_path / "Dockerfile").unlink()
    answer = run_module(build_context, capsys, builds=[build])
    assert answer["msg"] == f"The folder {tmp_path} has no Dockerfile."


@pytest.mark.usefixtures("no_docker_package")
def test_no_docker_package(capsys):
    module = importlib.reload(build_context)
    answer = run_module(module, capsys, builds=[])
    assert answer["failed"]
    assert "(docker)" in answer["msg"]
