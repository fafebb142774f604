"""Module base_images, on a real engine with a real registry."""

from __future__ import annotations

import base_images
import pytest
from ansible.module_utils.docker_ml_api.docker import debian_bootstrap, local_images

from support import real_registry, run_module

UNKNOWN = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with real_registry.running(tmp_path_factory.mktemp("registry"), private=False) as running:
        yield running


@pytest.fixture
def push(engine, registry):
    """Return a function that pushes an image, removes it locally and returns the digest."""
    pulled = []

    def make(name, content="1", labels=None):
        reference = f"{registry.host}/{engine.prefix}/{name}:1"
        engine.make_image(reference, labels, content=content)
        engine.client.images.push(reference)
        image = engine.client.images.get(reference)
        digest = image.attrs["RepoDigests"][0].partition("@")[2]
        engine.client.images.remove(image.id, force=True)
        pulled.append(f"{registry.host}/{engine.prefix}/{name}@{digest}")
        return digest

    yield make
    for reference in pulled:
        local_images.run_command(["docker", "image", "rm", "--force", reference], 60)


@pytest.fixture
def module(engine, registry, capsys):
    def run(pulls, **options):
        catalogue = {
            name: {
                "pull": {"image": f"{engine.prefix}/{name}", **pull},
                "bootstrap": {"variant": "extract", "packages": ["busybox-static"]},
            }
            for name, pull in pulls.items()
        }
        settings = {
            "cli": "docker",
            "names": list(pulls),
            "catalogue": catalogue,
            "repository": engine.prefix,
            "registry": registry.host,
        }
        return run_module.run_module(base_images, capsys, **(settings | options))

    return run


def local(engine, name):
    reference = f"{engine.prefix}/{name}:base"
    return local_images.inspect("docker", [reference]).get(reference)


def test_a_pull_by_digest_and_then_no_request_at_all(module, engine, push, registry):
    pulls = {"a": {"tag": "1", "digest": push("a")}, "b": {"digest": push("b", "2")}}
    planned = module(pulls, _ansible_check_mode=True)
    assert planned["changed"]
    assert "or bootstrapped from" in planned["msg"]
    assert local(engine, "a") is None

    done = module(pulls)
    assert done["changed"]
    assert [image["done"] for image in done["images"]] == ["pull", "pull"]
    assert done["msg"] == f"Base images: a and b pulled from {registry.host}."
    assert any(digest.endswith(pulls["a"]["digest"]) for digest in local(engine, "a").digests)

    before = registry.requests()
    for source in ("auto", "pull"):
        again = module(pulls, source=source)
        assert not again["changed"]
        assert again["images"][0]["ways"] == ["pull"]
    assert registry.requests() == before
    assert again["diff"]["before"] == again["diff"]["after"]


def test_another_digest_replaces_the_image(module, engine, push):
    module({"a": {"digest": push("a")}}, source="pull")
    old = local(engine, "a")
    module({"a": {"digest": push("a", "another")}}, source="pull")
    assert local(engine, "a").id != old.id


def test_a_tag_without_a_digest(module, push):
    push("a")
    pulls = {"a": {"tag": "1"}}
    assert module(pulls)["changed"]
    assert not module(pulls)["changed"]


@pytest.mark.parametrize("source", ["auto", "pull"])
@pytest.mark.parametrize("sdk", [True, False])
@pytest.mark.parametrize(
    "wrong", [{"tag": "1", "digest": UNKNOWN}, {"digest": UNKNOWN}, {"tag": "nosuch"}]
)
def test_what_the_registry_does_not_know(  # noqa: PLR0917 - a case has its three variables
    module, engine, push, monkeypatch, wrong, sdk, source
):
    monkeypatch.setattr(base_images, "HAS_DOCKER_SDK", sdk)
    good = {"digest": push("good")}
    failed = module({"good": good, "wrong": wrong}, source=source)
    assert failed["failed"]
    assert "does not know" in failed["msg"]
    assert "base_images_catalogue.wrong.pull" in failed["msg"]
    assert local(engine, "good") is None


def test_a_misspelt_tag_beside_a_known_digest(module, engine, push):
    failed = module({"a": {"tag": "nosuch", "digest": push("a")}})
    assert f"/{engine.prefix}/a:nosuch: correct" in failed["msg"]
    assert local(engine, "a") is None


def test_a_registry_that_does_not_answer(module):
    pulls = {"a": {"tag": "1"}, "b": {"tag": "1"}}
    failed = module(pulls, source="pull", registry="127.0.0.1:1")
    assert "does not answer for 127.0.0.1:1" in failed["msg"]
    assert "connection refused" in failed["msg"]
    other = module(pulls, registry="127.0.0.1:1", labels={"a": "b"})
    # Bootstrapped images are changes of the other modules.
    assert not other["changed"]
    assert "because 127.0.0.1:1 does not answer" in other["msg"]
    assert [item["labels"] for item in other["bootstrap"]] == [{"a": "b"}] * 2
    assert other["install_mmdebstrap"] is False


def test_a_registry_that_wants_a_login(module, tmp_path):
    with real_registry.running(tmp_path, private=True) as private:
        other = module({"a": {"digest": UNKNOWN}}, registry=private.host)
        failed = module({"a": {"digest": UNKNOWN}}, registry=private.host, source="pull")
    assert f"because {private.host} refuses" in other["msg"]
    assert "docker login" in failed["msg"]


def test_a_bootstrapped_image_is_right_by_its_recipe(module, engine, push):
    pulls = {"a": {"digest": push("a")}}
    planned = module(pulls, source="bootstrap")
    (options,) = planned["bootstrap"]
    reference = options.pop("reference")
    assert reference == f"{engine.prefix}/a:base"
    recipe = debian_bootstrap.Recipe.from_options(options.pop("suite"), options)
    engine.make_image(reference, {local_images.RECIPE_LABEL: recipe.digest})
    for source in ("auto", "bootstrap"):
        assert not module(pulls, source=source)["bootstrap"]
    # Another recipe, then the other source.
    assert module(pulls, source="bootstrap", generation="2")["bootstrap"]
    made = local(engine, "a")
    assert module(pulls, source="pull")["changed"]
    # The image that was made here and is no longer needed is removed.
    assert local_images.run_command(["docker", "image", "inspect", made.id], 60).status == 1


def test_an_image_of_both_ways(module, push):
    (options,) = module({"a": {"tag": "1"}}, source="bootstrap")["bootstrap"]
    del options["reference"]
    recipe = debian_bootstrap.Recipe.from_options(options.pop("suite"), options)
    pulls = {"a": {"digest": push("a", labels={local_images.RECIPE_LABEL: recipe.digest})}}
    assert module(pulls, source="pull")["changed"]
    for source in ("auto", "pull", "bootstrap"):
        again = module(pulls, source=source)
        assert again["images"][0]["ways"] == ["pull", "bootstrap"]
        assert not (again["changed"])
        assert not (again["bootstrap"])


def test_changes_go_over_the_catalogue(module, push):
    changes = {"a": {"pull": {"digest": push("a")}}}
    assert module({"a": {"digest": UNKNOWN}}, changes=changes)["changed"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["b"]}, "base_images_names has 'b'"),
        ({"registry": "https://docker.io"}, "base_images_registry is 'https://docker.io'"),
        ({"repository": "A"}, "base_images_repository is 'A'"),
        ({"changes": {"a": {"pull": {"digest": "1"}}}}, "base_images_catalogue.a.pull.digest"),
        ({"source": "x"}, "value of source must be one of"),
    ],
)
def test_wrong_inputs(module, options, message):
    failed = module({"a": {"tag": "1"}}, _ansible_check_mode=True, **options)
    assert failed["failed"]
    assert message in failed["msg"]


def test_a_host_that_cannot_bootstrap(module, monkeypatch, tmp_path):
    fedora = debian_bootstrap.Host({"ID": "fedora", "PRETTY_NAME": "Fedora 42"}, tmp_path)
    monkeypatch.setattr(debian_bootstrap.Host, "read", lambda: fedora)
    for options in (
        {"source": "bootstrap", "_ansible_check_mode": True, "cli": ""},
        {"source": "auto", "registry": "127.0.0.1:1"},
    ):
        failed = module({"a": {"tag": "1"}}, **options)
        assert "this host is Fedora 42" in failed["msg"]
        assert "base_images_source=pull" in failed["msg"]
        assert ("connection refused" in failed["msg"]) == (options["source"] == "auto")


def test_an_engine_that_does_not_answer(module, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert "127.0.0.1:1" in module({"a": {"tag": "1"}})["msg"]


def test_the_sdk_alone_may_not_reach_the_engine(module, push, monkeypatch):
    # A client with its own context still reaches it.
    digest = push("a")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert base_images.HAS_DOCKER_SDK
    base_images.check_references([], "docker.io")
    monkeypatch.delenv("DOCKER_HOST")
    assert module({"a": {"digest": digest}})["changed"]


def test_an_engine_of_another_architecture_gets_no_images_of_this_machine(module):
    for options in ({"source": "bootstrap"}, {"source": "auto", "registry": "127.0.0.1:1"}):
        failed = module({"a": {"tag": "1"}}, architecture="s390x", **options)
        assert "since the engine's machine is s390x and this one " in failed["msg"]
        assert "base_images_source=pull" in failed["msg"]
