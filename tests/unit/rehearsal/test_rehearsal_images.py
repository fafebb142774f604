"""Images without an engine, pushed to a real registry and read back."""

import io
import json
import tarfile

import pytest
import requests

from rehearsal.kubernetes.errors import RehearsalError
from rehearsal.kubernetes.images import Image, digest
from support import ports, real_registry

IMAGE = Image({"bin/a": b"program", "data": b""}, {"Entrypoint": ["/bin/a"]}, {"bin/b": "a"})


def test_same_files_give_the_same_image():
    again = Image({"data": b"", "bin/a": b"program"}, {"Entrypoint": ["/bin/a"]}, {"bin/b": "a"})
    assert again.blobs() == IMAGE.blobs()
    other = Image({**IMAGE.files, "data": b"x"}, IMAGE.config, IMAGE.links)
    assert other.blobs()[0] != IMAGE.blobs()[0]


def test_layer_has_files_and_links():
    with tarfile.open(fileobj=io.BytesIO(IMAGE.layer())) as layer:
        assert layer.getnames() == ["bin/a", "data", "bin/b"]
        assert layer.extractfile("bin/a").read() == b"program"
        assert layer.getmember("bin/a").mode == 0o755
        assert layer.getmember("bin/b").linkname == "a"


def test_archive_is_complete():
    with tarfile.open(fileobj=io.BytesIO(IMAGE.archive("example.test/a:1"))) as archive:

        def read(name):
            return archive.extractfile(name).read()

        (entry,) = json.loads(read("index.json"))["manifests"]
        assert entry["annotations"] == {"io.containerd.image.name": "example.test/a:1"}
        assert json.loads(read("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
        manifest = read(f"blobs/{entry['digest'].replace(':', '/')}")
        for part in (json.loads(manifest)["config"], *json.loads(manifest)["layers"]):
            blob = read(f"blobs/{part['digest'].replace(':', '/')}")
            assert (len(blob), digest(blob)) == (part["size"], part["digest"])


@pytest.fixture
def registry(tmp_path):
    with real_registry.running(tmp_path) as running:
        yield running


def push(registry, tag="v1", login=(real_registry.USERNAME, real_registry.PASSWORD)):
    return IMAGE.push(registry.host, "apps/a", tag, *login)


def test_pushed_image_is_in_the_registry(registry):
    pushed = push(registry)
    assert pushed == digest(IMAGE.blobs()[0])
    for name in ("v1", pushed):
        answer = requests.get(
            f"http://{registry.host}/v2/apps/a/manifests/{name}",
            auth=(real_registry.USERNAME, real_registry.PASSWORD),
            headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
            timeout=10,
        )
        assert answer.content == IMAGE.blobs()[0]


def test_blobs_that_are_there_are_not_sent_again(registry):
    push(registry)
    before = len(registry.writes())
    push(registry, tag="v2")
    assert registry.writes()[before:] == ["PUT /v2/apps/a/manifests/v2"]


def test_wrong_password(registry):
    with pytest.raises(RehearsalError, match="The registry answered 401 to HEAD"):
        push(registry, login=(real_registry.USERNAME, "wrong"))


def test_registry_that_is_gone():
    host = f"127.0.0.1:{ports.closed()}"
    with pytest.raises(RehearsalError, match=f"does not answer at http://{host}/v2/a/"):
        IMAGE.push(host, "a", "v1", "u", "p")
