import pytest
from ansible.module_utils.docker_ml_api.docker import dockerfile

# What: (Dockerfile, build arguments, images)
BASE_IMAGES = {
    "a literal": ("FROM python:3.13", {}, ["python:3.13"]),
    "scratch": ("FROM scratch", {}, []),
    "no instruction": ("# nothing\n\n", {}, []),
    "FROM without an image": ("FROM", {}, []),
    "argument's default": ("ARG A=x:1\nFROM $A", {}, ["x:1"]),
    "argument given": ("ARG A=x:1\nFROM ${A}", {"A": "y:2"}, ["y:2"]),
    "argument without a default": ("ARG A\nFROM ${A}", {"A": "y:2"}, ["y:2"]),
    "argument that is nowhere declared": ("FROM x$A:1", {"A": "q"}, ["x:1"]),
    "argument unset altogether": ("ARG A\nFROM $A", {}, []),
    "argument from an argument": ("ARG V=1\nARG A=x:$V\nFROM $A", {"V": "9"}, ["x:9"]),
    "two arguments in a line": ("ARG A=x:1 B=y:2\nFROM $A\nFROM $B", {}, ["x:1", "y:2"]),
    "quotes": ('ARG A="x:1"\nFROM "$A"', {}, ["x:1"]),
    "quotes that do not match": ('ARG A="x:1\nFROM y:1', {}, ["y:1"]),
    "word for unset": ("ARG A\nFROM ${A:-z:3}", {}, ["z:3"]),
    "word for empty": ("ARG A=\nFROM ${A:-z:3}", {}, ["z:3"]),
    "no word for empty without colon": ("ARG A=\nFROM x${A-z}:3", {}, ["x:3"]),
    "word for set": ("ARG A=1\nFROM x${A:+-slim}:2", {}, ["x-slim:2"]),
    "no word for unset": ("ARG A\nFROM x${A:+-slim}:2", {}, ["x:2"]),
    "escaped dollar": ("ARG A=1\nFROM x\\$A", {}, ["x$A"]),
    "an ARG of a stage is no ARG of FROM": ("FROM a\nARG B=x\nFROM y$B", {}, ["a", "y"]),
    "stages": ("FROM a AS s\nFROM s AS t\nFROM t", {}, ["a"]),
    "stages in any case": ("from a as S\nfrom s", {}, ["a"]),
    "stage called like its image": ("FROM python AS python\nFROM python", {}, ["python"]),
    "same image twice": ("FROM a\nFROM a", {}, ["a"]),
    "platform": ("FROM --platform=$BUILDPLATFORM golang:1 AS b", {}, ["golang:1"]),
    "COPY from an image": (
        "FROM a AS s\nFROM b\nCOPY --chown=1 --from=busybox:1 /x /x\nCOPY --from=s /y /y",
        {},
        ["a", "b", "busybox:1"],
    ),
    "COPY from a stage's number": ("FROM a\nFROM b\nCOPY --from=0 /x /x", {}, ["a", "b"]),
    "COPY of a file": ("FROM a\nCOPY x y\nCOPY", {}, ["a"]),
    "mount from an image": (
        "FROM a\nRUN --mount=type=bind,from=tools:1,target=/t --mount=type=cache,target=/c x",
        {},
        ["a", "tools:1"],
    ),
    "continued lines": (
        "ARG A=x\\\n:1\nFROM \\\n  # a comment between\n\n $A \\  \n AS q",
        {},
        ["x:1"],
    ),
    "continued at the end": ("FROM a \\", {}, ["a"]),
    "escape directive": ("# syntax=x\n# escape=`\nFROM a`\n AS b\nFROM b", {}, ["a"]),
    "directives end with the first comment": ("# Hello\n# escape=`\nFROM a\\\n:1", {}, ["a:1"]),
    "byte order mark": ("\ufeffFROM a", {}, ["a"]),
    "tabs": ("FROM\ta\tAS\tb", {}, ["a"]),
    "here-documents": (
        "FROM a\nRUN <<EOF <<-'END'\nFROM b\nEOF\nFROM c\n\tEND\nCOPY <<X /x\nFROM d\nX\nFROM e",
        {},
        ["a", "e"],
    ),
    "here-document without an end": ("FROM a\nRUN <<EOF\nFROM b", {}, ["a"]),
}


@pytest.mark.parametrize(("text", "build_args", "images"), BASE_IMAGES.values(), ids=BASE_IMAGES)
def test_base_images(text, build_args, images):
    assert dockerfile.base_images(text, build_args) == images
