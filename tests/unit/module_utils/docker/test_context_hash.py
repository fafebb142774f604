import os
import socket
from contextlib import closing

import pytest
from ansible.module_utils.docker_ml_api.docker import context_hash
from ansible.module_utils.docker_ml_api.docker.context_hash import BuildContextError

PREFIX = "test.build-context"
FILES = [
    "Dockerfile",
    "README.md",
    "app/main.py",
    "app/data/set.csv",
    "app/data/notes.txt",
    "x.pyc",
]

# What: (.dockerignore, the files of FILES that are sent)
DOCKERIGNORE = {
    "empty": ("", FILES),
    "comments and blank lines": ("# README.md\n\n   \n", FILES),
    "a file": (
        "README.md",
        ["Dockerfile", "app/main.py", "app/data/set.csv", "app/data/notes.txt", "x.pyc"],
    ),
    "a folder": ("app", ["Dockerfile", "README.md", "x.pyc"]),
    "slashes around": ("/app/", ["Dockerfile", "README.md", "x.pyc"]),
    "a star stays in its folder": ("*.py\n*.md", [f for f in FILES if f != "README.md"]),
    "two stars": ("**/*.py", [f for f in FILES if f != "app/main.py"]),
    "question mark": ("?.pyc", [f for f in FILES if f != "x.pyc"]),
    "brought back": ("*.md\n!README.md", FILES),
    "the last rule counts": ("!README.md\n*.md", [f for f in FILES if f != "README.md"]),
    "a list of what is wanted": ("*\n!app/main.py", ["app/main.py"]),
    "wanted by a pattern, at any depth": ("*\n!**/*.csv", ["app/data/set.csv"]),
    "a folder but for one file": (
        "app/data\n!app/data/set.csv",
        [f for f in FILES if f != "app/data/notes.txt"],
    ),
    "the Dockerfile itself": ("Dockerfile", [f for f in FILES if f != "Dockerfile"]),
    "byte order mark": ("\ufeffREADME.md", [f for f in FILES if f != "README.md"]),
    "a lone exclamation mark": ("!", FILES),
}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "context"
    for name in FILES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
    return root


def files(folder):
    paths = context_hash.context_paths(folder)
    return sorted(path for path in paths if (folder / path).is_file())


def sources(folder):
    return context_hash.fingerprint(folder, {}, {}, {}).sources


@pytest.mark.parametrize(("rules", "sent"), DOCKERIGNORE.values(), ids=DOCKERIGNORE)
def test_dockerignore(folder, rules, sent):
    (folder / ".dockerignore").write_text(rules, encoding="utf-8")
    assert files(folder) == sorted([*sent, *([] if "*\n" in rules else [".dockerignore"])])


def test_the_dockerfiles_own_ignore_file_comes_first(folder):
    (folder / ".dockerignore").write_text("*.md")
    (folder / "Dockerfile.dockerignore").write_text("app\n*ignore")
    assert files(folder) == ["Dockerfile", "README.md", "x.pyc"]


def rewrite_with_other_time(folder):
    path = folder / "README.md"
    path.write_text(path.read_text())
    os.utime(path, (1, 1))


def recreate_in_other_order(folder):
    contents = {name: (folder / name).read_text() for name in reversed(FILES)}
    for name in contents:
        (folder / name).unlink()
    for name, content in contents.items():
        (folder / name).write_text(content)


def make_socket(folder):
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(folder / "s"))


STAY = {
    "time": rewrite_with_other_time,
    "order": recreate_in_other_order,
    "group's permissions": lambda folder: (folder / "README.md").chmod(0o664),
    "ignored file": lambda folder: (folder / "x.pyc").write_text("changed"),
    "new ignored file": lambda folder: (folder / "y.pyc").write_text("new"),
    "a socket": make_socket,
}
CHANGE = {
    "content": lambda folder: (folder / "README.md").write_text("changed"),
    "Dockerfile": lambda folder: (folder / "Dockerfile").write_text("changed"),
    "new file": lambda folder: (folder / "new").touch(),
    "new folder": lambda folder: (folder / "new").mkdir(),
    "renamed": lambda folder: (folder / "README.md").rename(folder / "README"),
    "moved": lambda folder: (folder / "README.md").rename(folder / "app/README.md"),
    "removed": lambda folder: (folder / "README.md").unlink(),
    "may be run": lambda folder: (folder / "README.md").chmod(0o755),
    "not for others": lambda folder: (folder / "README.md").chmod(0o600),
    "link": lambda folder: (folder / "link").symlink_to("README.md"),
}


@pytest.mark.parametrize("change", STAY.values(), ids=STAY)
def test_the_same_hash(folder, change):
    (folder / ".dockerignore").write_text("*.pyc")
    (folder / "README.md").chmod(0o644)
    before = sources(folder)
    change(folder)
    assert sources(folder) == before


@pytest.mark.parametrize("change", CHANGE.values(), ids=CHANGE)
def test_another_hash(folder, change):
    (folder / "README.md").chmod(0o644)
    before = sources(folder)
    change(folder)
    assert sources(folder) != before


def test_a_links_target_counts_and_is_not_followed(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("a")
    link = folder / "link"
    link.symlink_to(outside)
    first = sources(folder)
    outside.write_text("b")
    assert sources(folder) == first
    link.unlink()
    link.symlink_to("README.md")
    assert sources(folder) != first


def test_an_ignored_dockerfile_counts(folder):
    (folder / ".dockerignore").write_text("Dockerfile")
    before = sources(folder)
    (folder / "Dockerfile").write_text("FROM other")
    assert sources(folder) != before


def test_a_large_file_is_read_in_parts(folder, monkeypatch):
    before = sources(folder)
    monkeypatch.setattr(context_hash, "_CHUNK", 3)
    assert sources(folder) == before


def test_names_that_are_not_utf8(folder):
    before = sources(folder)
    (folder / os.fsdecode(b"\xff")).touch()
    assert sources(folder) != before


# What: (base images, build arguments, labels), all different
INPUTS = {
    "nothing": ({}, {}, {}),
    "base image not there": ({"a": ""}, {}, {}),
    "base image": ({"a": "sha256:1"}, {}, {}),
    "its ID": ({"a": "sha256:2"}, {}, {}),
    "argument": ({}, {"a": "b"}, {}),
    "its value": ({}, {"a": "c"}, {}),
    "label": ({}, {}, {"a": "b"}),
}


def test_each_input_has_its_hash(folder):
    totals = {
        name: context_hash.fingerprint(folder, *inputs).total for name, inputs in INPUTS.items()
    }
    assert len(set(totals.values())) == len(INPUTS)


def test_proxy_arguments_do_not_count(folder):
    proxies = {"HTTP_PROXY": "x", "https_proxy": "y", "NO_PROXY": "z"}
    plain = context_hash.fingerprint(folder, {}, {"a": "b"}, {})
    assert context_hash.fingerprint(folder, {}, {"a": "b", **proxies}, {}) == plain


def labels_without(wanted, *names):
    labels = wanted.labels(PREFIX)
    return {**labels, **{f"{PREFIX}{name}": "sha256:old" for name in names}}


# What: (labels of the image, reasons)
REASONS = {
    "no image": (lambda _: None, ["no image yet"]),
    "foreign": (lambda _: {"a": "b"}, ["the image of that name was not built from here"]),
    "up to date": (lambda wanted: wanted.labels(PREFIX), []),
    "sources": (lambda wanted: labels_without(wanted, "", ".sources"), ["sources changed"]),
    "base image": (
        lambda wanted: labels_without(wanted, "", ".base-images"),
        ["base image changed"],
    ),
    "all": (
        lambda wanted: labels_without(wanted, "", ".sources", ".base-images", ".arguments"),
        ["sources changed", "base image changed", "build arguments or labels changed"],
    ),
    "the whole only": (lambda wanted: labels_without(wanted, ""), ["build context changed"]),
}


@pytest.mark.parametrize(("image", "reasons"), REASONS.values(), ids=REASONS)
def test_reasons(image, reasons):
    wanted = context_hash.Fingerprint("sha256:1", "sha256:2", "sha256:3")
    assert context_hash.reasons(image(wanted), wanted, PREFIX) == reasons


def test_no_folder(tmp_path):
    with pytest.raises(BuildContextError, match=r"^The folder .*/none does not exist\.$"):
        context_hash.read_dockerfile(tmp_path / "none")


def test_no_dockerfile(tmp_path):
    with pytest.raises(BuildContextError, match=r"has no Dockerfile\.$"):
        context_hash.read_dockerfile(tmp_path)


def test_unreadable(folder):
    # Even root cannot read a folder as a file.
    (folder / "Dockerfile").unlink()
    (folder / "Dockerfile").mkdir()
    with pytest.raises(BuildContextError, match=r"Dockerfile cannot be read: Is a directory\.$"):
        context_hash.read_dockerfile(folder)
    (folder / ".dockerignore").mkdir()
    with pytest.raises(BuildContextError, match=r"dockerignore cannot be read"):
        files(folder)


def test_gone_while_reading(folder):
    with pytest.raises(BuildContextError, match=r"cannot be read: No such file or directory\.$"):
        files(folder.with_name("gone"))


def test_file_gone_while_hashing(folder, monkeypatch):
    monkeypatch.setattr(context_hash, "context_paths", lambda _: ["gone"])
    with pytest.raises(BuildContextError, match=r"gone cannot be read: No such file"):
        sources(folder)
