"""How each base image is obtained, and the messages about it."""

from __future__ import annotations

import pytest
from ansible.module_utils.docker_ml_api.docker import base_image_catalogue
from ansible.module_utils.docker_ml_api.docker.local_images import RECIPE_LABEL, Image

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
CATALOGUE = {
    "python": {
        "pull": {"image": "library/python", "tag": "3.13", "digest": DIGEST},
        "bootstrap": {"packages": ["python3"]},
    },
    "runtime": {
        "pull": {"image": "library/busybox", "tag": "1.37"},
        "bootstrap": {"variant": "extract", "packages": ["busybox-static"]},
    },
}


def entry(name="python", catalogue=CATALOGUE, **common):
    return base_image_catalogue.read_entry(name, catalogue[name], suite="bookworm", common=common)


PINNED = entry()
BY_TAG = entry("runtime")
MADE = ((RECIPE_LABEL, PINNED.recipe.digest),)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(None, [], id="not there"),
        pytest.param(Image("i"), [], id="some other image"),
        pytest.param(Image("i", digests=(f"python@{DIGEST}",)), ["pull"], id="pulled"),
        pytest.param(
            Image("i", digests=(f"mirror/library/python@{DIGEST}",)), ["pull"], id="from a mirror"
        ),
        pytest.param(Image("i", digests=(f"python@{OTHER}",)), [], id="an older digest"),
        pytest.param(Image("i", tags=("python:3.13",)), [], id="the tag does not say enough"),
        pytest.param(Image("i", labels=MADE), ["bootstrap"], id="bootstrapped"),
        pytest.param(Image("i", labels=((RECIPE_LABEL, OTHER),)), [], id="an older recipe"),
        pytest.param(
            Image("i", digests=(f"x@{DIGEST}",), labels=MADE), ["pull", "bootstrap"], id="both"
        ),
    ],
)
def test_ways(image, expected):
    assert base_image_catalogue.ways(PINNED, image, "docker.io") == expected


@pytest.mark.parametrize(
    ("registry", "tag", "expected"),
    [
        ("docker.io", "busybox:1.37", ["pull"]),
        ("mirror:5000", "mirror:5000/library/busybox:1.37", ["pull"]),
        ("mirror:5000", "busybox:1.37", []),
    ],
)
def test_without_a_digest_the_tag_decides(registry, tag, expected):
    assert base_image_catalogue.ways(BY_TAG, Image("i", tags=(tag,)), registry) == expected


@pytest.mark.parametrize(
    ("source", "present", "expected"),
    [
        ("auto", [], "try"),
        ("auto", ["pull"], ""),
        ("auto", ["bootstrap"], ""),
        ("auto", ["pull", "bootstrap"], ""),
        ("pull", [], "pull"),
        ("pull", ["pull"], ""),
        ("pull", ["bootstrap"], "pull"),
        ("pull", ["pull", "bootstrap"], ""),
        ("bootstrap", [], "bootstrap"),
        ("bootstrap", ["pull"], "bootstrap"),
        ("bootstrap", ["bootstrap"], ""),
        ("bootstrap", ["pull", "bootstrap"], ""),
    ],
)
def test_action(source, present, expected):
    assert base_image_catalogue.action(source, present) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("manifest for x:1 not found: manifest unknown: manifest unknown", "unknown"),
        ('{"errors":[{"code":"NAME_UNKNOWN","message":"name unknown"}]}', "unknown"),
        ("pull access denied for x, repository does not exist or may require login", "refused"),
        ("toomanyrequests: You have reached your pull rate limit.", "refused"),
        ("unauthorized: authentication required", "refused"),
        ('Get "https://a/v2/": dial tcp 127.0.0.1:1: connect: connection refused', "unreachable"),
        ("Get https://a/v2/: x509: certificate signed by unknown authority", "unreachable"),
        ("lookup a: no such host", "unreachable"),
        ("docker did not answer within 5 seconds", "unreachable"),
    ],
)
def test_failure(error, expected):
    assert base_image_catalogue.failure(error) == expected


@pytest.mark.parametrize("kind", ["unknown", "refused", "unreachable"])
def test_a_pulls_error_is_one_sentence_that_names_the_mend(kind):
    text = base_image_catalogue.pull_error(
        kind, "python", "r/library/python:3", "no route to host."
    )
    assert text.endswith(".")
    assert "\n" not in text
    assert ". " not in text
    for words in ("r/library/python:3", "base_images_registry", "base_images_source=bootstrap"):
        assert words in text
    assert ("base_images_catalogue.python.pull" in text) == (kind == "unknown")
    assert ("docker login" in text) == (kind == "refused")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, CATALOGUE["python"]["pull"], id="nothing"),
        pytest.param(
            {"pull": {"digest": OTHER}},
            {"image": "library/python", "tag": "3.13", "digest": OTHER},
            id="another digest",
        ),
        pytest.param(
            {"pull": {"tag": "3.14"}},
            {"image": "library/python", "tag": "3.14"},
            id="another tag takes the digest away",
        ),
        pytest.param(
            {"pull": {"image": "mine/python"}},
            {"image": "mine/python", "tag": "3.13"},
            id="another image too",
        ),
        pytest.param(
            {"pull": {"tag": "3.14", "digest": OTHER}},
            {"image": "library/python", "tag": "3.14", "digest": OTHER},
            id="both",
        ),
    ],
)
def test_merged(changes, expected):
    before = str(CATALOGUE)
    assert base_image_catalogue.merged(CATALOGUE, {"python": changes})["python"]["pull"] == expected
    assert str(CATALOGUE) == before


def test_merged_takes_new_entries():
    new = {"pull": {"image": "library/node", "tag": "22"}}
    assert base_image_catalogue.merged(CATALOGUE, {"node": new})["node"] == new


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"python": None}, "base_images_catalogue.python must be a mapping, not None."),
        ({"python": {"pull": None}}, "base_images_catalogue.python.pull must be a mapping, not N"),
        ({"new": {"pull": "a:1"}}, "base_images_catalogue.new.pull must be a mapping, not 'a:1'."),
    ],
)
def test_changes_that_are_no_mappings(changes, message):
    with pytest.raises(ValueError, match=message):
        base_image_catalogue.merged(CATALOGUE, changes)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pul": {}}, "unknown field 'pul'"),
        ({}, "must have an image"),
        ({"pull": {"image": "a", "digests": "x"}}, "must have an image"),
        ({"pull": {"image": "a"}}, "a digest or a tag"),
        ({"pull": {"image": "a", "digest": "sha256:1"}}, "'sha256:1', not sha256"),
        (
            {"pull": {"image": "a", "tag": "1"}, "bootstrap": {"package": []}},
            r"bootstrap is wrong: unknown field 'package'",
        ),
        (
            {"pull": {"image": "a", "tag": "1"}, "bootstrap": {"variant": "tiny"}},
            r"bootstrap is wrong: unknown variant 'tiny'",
        ),
    ],
)
def test_a_wrong_entry_is_named(wrong, message):
    with pytest.raises(ValueError, match=message) as error:
        base_image_catalogue.read_entry("python", wrong, suite="bookworm", common={})
    assert str(error.value).startswith("base_images_catalogue.python")
    assert str(error.value).endswith(".")


def test_an_unknown_name_is_told_the_known_ones():
    with pytest.raises(ValueError, match=r"'pyton'.*python, runtime"):
        base_image_catalogue.read_catalogue(["pyton"], CATALOGUE, suite="bookworm", common={})
    read = base_image_catalogue.read_catalogue(["runtime"], CATALOGUE, suite="bookworm", common={})
    assert [item.name for item in read] == ["runtime"]


def test_common_fields_are_part_of_each_recipe():
    assert entry(labels={"a": "b"}).recipe.labels == {"a": "b"}
    assert entry(labels={"a": "b"}).recipe.digest != PINNED.recipe.digest
    assert entry(generation="2").recipe.digest != PINNED.recipe.digest


@pytest.mark.parametrize("repository", ["docker-ml-api", "a/b_c/d.e", "x"])
@pytest.mark.parametrize(
    "registry", ["docker.io", "127.0.0.1:5000", "[::1]:5000", "mirror.example.com:8443/hub/x"]
)
def test_good_names(repository, registry):
    base_image_catalogue.check_names(repository, registry)


@pytest.mark.parametrize(
    ("repository", "registry", "message"),
    [
        ("Docker", "docker.io", "base_images_repository is 'Docker'"),
        ("", "docker.io", "base_images_repository is ''"),
        ("a", "https://docker.io", "base_images_registry is 'https://docker.io'"),
        ("a", "", "base_images_registry is ''"),
        ("a", "docker.io/Upper", "base_images_registry"),
        ("a", "docker.io/", "base_images_registry"),
    ],
)
def test_bad_names(repository, registry, message):
    with pytest.raises(ValueError, match=message):
        base_image_catalogue.check_names(repository, registry)


@pytest.mark.parametrize(
    ("done", "reason", "fallback", "expected"),
    [
        ({"a": ""}, "", False, "Base images: all there already."),
        ({"a": "pull", "b": ""}, "", False, "Base images: a pulled from r."),
        (
            {"a": "pull", "b": "pull"},
            "",
            True,
            (
                "Base images: a and b pulled from r, or bootstrapped from bookworm if it does not"
                " answer."
            ),
        ),
        (
            {"a": "bootstrap", "b": "bootstrap", "c": "bootstrap"},
            "r does not answer (refused)",
            False,
            (
                "Base images: a, b and c bootstrapped from bookworm's packages, because r does not"
                " answer (refused)."
            ),
        ),
        (
            {"a": "pull", "b": "bootstrap"},
            "",
            False,
            "Base images: a pulled from r; b bootstrapped from bookworm's packages.",
        ),
    ],
)
def test_sentence(done, reason, fallback, expected):
    said = base_image_catalogue.sentence(
        done, registry="r", suite="bookworm", reason=reason, fallback=fallback
    )
    assert said == expected


@pytest.mark.parametrize(
    ("engine", "machine", "said"),
    [
        ("", "x86_64", ""),
        ("amd64", "x86_64", ""),
        ("arm64", "aarch64", ""),
        ("arm64", "arm64", ""),
        ("arm", "armv7l", ""),
        ("386", "i686", ""),
        ("riscv64", "riscv64", ""),
        ("arm64", "x86_64", "the engine's machine is arm64 and this one amd64"),
        ("amd64", "aarch64", "the engine's machine is amd64 and this one arm64"),
        ("arm", "aarch64", "the engine's machine is arm and this one arm64"),
        ("arm64", "armv7l", "the engine's machine is arm64 and this one armv7l"),
    ],
)
def test_images_of_this_machine_for_another(engine, machine, said):
    assert base_image_catalogue.foreign(engine, machine) == said
