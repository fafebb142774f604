"""The commands, settings and links in the documents exist."""

import itertools
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from support import ROOT, documents
from support.documents import DOCUMENTS, Document

# The commands that run playbooks.
PLAYBOOKS = {"ansible-playbook", ".venv/bin/ansible-playbook"}
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
TAGS = {
    tag
    for play in yaml.safe_load((ROOT / "site.yml").read_text(encoding="utf-8"))
    for tag in play.get("tags", [])
} - {"never"}
# All files that can set or read a variable.
SOURCES = "\n".join(
    path.read_text(encoding="utf-8")
    for folder in ("inventory", "roles", "playbooks")
    for path in (ROOT / folder).rglob("*.yml")
)


def option(words, *names):
    """The values of an option on a command line."""
    return [value for name, value in itertools.pairwise(words) if name in names]


def commands(path):
    return Document(path).commands


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_links_lead_somewhere(path):
    wrong = []
    for link in Document(path).links:
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        to = (path.parent / unquote(target)).resolve() if target else path
        if not to.exists() or (anchor and anchor not in Document(to).anchors):
            wrong.append(link)
    assert wrong == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_playbook_runs_name_what_is_there(path):
    wrong = []
    for words in commands(path):
        if words[0] not in PLAYBOOKS:
            continue
        files = [*option(words, "-i", "--inventory"), *(one for one in words if one == "site.yml")]
        tags = {tag for value in option(words, "--tags") for tag in value.split(",")}
        variables = [value.partition("=")[0] for value in option(words, "-e") if "{" not in value]
        # A file need not exist if the document shows its content.
        shown = re.findall(r"^```yaml\n# (\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        wrong += [file for file in files if not (ROOT / file).is_file() and file not in shown]
        wrong += sorted(tags - TAGS)
        wrong += [name for name in variables if not re.search(rf"\b{name}\b", SOURCES)]
    assert wrong == []


def test_playbook_runs_are_recognized():
    # Otherwise, the test above would check nothing.
    found = {
        tag
        for path in DOCUMENTS
        for words in commands(path)
        if words[0] in PLAYBOOKS
        for tag in option(words, "--tags")
    }
    assert {"plan", "kubeconfig", "expire", "teardown"} <= found


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_make_and_python_run_what_is_there(path):
    wrong = []
    for words in commands(path):
        if words[0] == "make":
            wrong += [
                one for one in words[1:2] if re.fullmatch("[a-z-]+", one) and one not in TARGETS
            ]
        if words[0].rpartition("/")[2] == "python":
            wrong += [one for one in option(words, "-m") if not module(one).exists()]
    inline = re.findall(r"`make ([a-z-]+)`", Document(path).prose)
    wrong += [one for one in inline if one not in TARGETS]
    assert wrong == []


def module(name):
    """Return the file that `python -m` runs for one of the project's modules."""
    there = ROOT / Path(*name.split("."))
    return there / "__main__.py" if there.is_dir() else there.with_suffix(".py")


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_tags_of_tables_are_there(path):
    text = Document(path).prose
    found = re.findall(r"--tags ([a-z,]+)", text)
    assert {tag for one in found for tag in one.split(",")} <= TAGS


def test_readme_has_every_tag():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [tag for tag in sorted(TAGS) if f"--tags {tag}`" not in text] == []


@pytest.mark.parametrize(
    ("path", "heading"),
    [(ROOT / "README.md", "Variables to change"), (ROOT / "docs/gke.md", "Other clusters")],
    ids=["README.md", "docs/gke.md"],
)
def test_variables_of_tables_are_read_somewhere(path, heading):
    names = []
    for first, *_ in Document(path).rows(heading):
        for word in documents.words_of(first):
            # `_password` after `image_registry_username` is short for `image_registry_password`.
            names.append(names[-1].rpartition("_")[0] + word if word.startswith("_") else word)
    assert len(names) > 10
    assert [name for name in names if not re.search(rf"\b{name}\b", SOURCES)] == []


def test_all_variables_of_gke_clusters_are_documented():
    text = (ROOT / "inventory/group_vars/gke.yml").read_text(encoding="utf-8")
    known = {
        name for name in re.findall(r"\b(gke_\w+)", text) if not name.startswith("gke_cluster")
    }
    document = Document(ROOT / "docs/gke.md")
    table = {word for row in document.rows("Other clusters") for word in documents.words_of(row[0])}
    assert known - table == set()
