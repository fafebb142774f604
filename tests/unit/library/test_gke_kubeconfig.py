import os
import stat
from pathlib import Path

import gke_kubeconfig
import pytest
import yaml

from rehearsal.gke.clock import StandingClock
from support import gke_double
from support.gke_site import LOCATION, NAME, Site


@pytest.fixture(scope="module")
def google(tmp_path_factory):
    with gke_double.running(tmp_path_factory.mktemp("google"), clock=StandingClock()) as double:
        yield double


@pytest.fixture
def site(google, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    made = Site(google, capsys, monkeypatch)
    if made.cluster() is None:
        made.create()
    return made


@pytest.fixture
def path(tmp_path):
    return tmp_path / "kube" / "config"


def write(site, path, **options):
    return site.run(gke_kubeconfig, name=NAME, location=LOCATION, path=str(path), **options)


def test_write_and_remove(site, path):
    would = write(site, path, check=True)
    assert would["changed"]
    assert not path.parent.exists()
    answer = write(site, path)
    assert answer["changed"]
    assert answer["path"] == str(path)
    assert answer["context"] == f"gke_{site.google.project}_{LOCATION}_{NAME}"
    assert answer["server"] == "https://127.0.20.1"
    assert answer["diff"] == would["diff"]
    assert "-Pc" not in answer["diff"]["after"]
    assert "127.0.20.1" in answer["diff"]["after"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]
    content = yaml.safe_load(path.read_text())
    assert (content["apiVersion"], content["kind"]) == ("v1", "Config")
    assert content["current-context"] == answer["context"]
    assert "PRIVATE KEY" not in path.read_text()
    before = path.stat().st_mtime_ns
    assert not write(site, path)["changed"]
    assert path.stat().st_mtime_ns == before
    assert write(site, path, state="absent", check=True)["changed"]
    gone = write(site, path, state="absent")
    assert (gone["changed"], gone["server"], gone["diff"]["after"]) == (True, "", "")
    assert not path.exists()
    assert not write(site, path, state="absent")["changed"]


def test_a_mode_that_others_can_read(site, path):
    write(site, path)
    path.chmod(0o644)
    assert write(site, path)["changed"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_secret_given_as_an_option(site, path, monkeypatch, tmp_path):
    for name in ("GCP_SERVICE_ACCOUNT_FILE", "GCP_AUTH_KIND"):
        monkeypatch.delenv(name)
    token = site.google.access_token()
    options = {"auth_kind": "accesstoken", "access_token": token}
    folder = tmp_path / f"docker-ml-api-{os.getuid()}"
    assert write(site, path, check=True, **options)["changed"]
    assert not folder.exists()
    write(site, path, **options)
    assert token not in path.read_text()
    (kept,) = folder.iterdir()
    assert kept.read_text() == token
    assert str(kept) in path.read_text()
    write(site, path, state="absent", **options)
    assert not folder.exists()


def test_a_file_of_somebody_else(site, path):
    path.parent.mkdir()
    path.write_text("apiVersion: v1\n")
    for state in ("present", "absent"):
        answer = write(site, path, state=state)
        assert answer["failed"]
        assert answer["msg"] == (
            f"{path} is somebody else's kubeconfig, which is left as it is: set "
            "gke_cluster_kubeconfig_path to another path; KUBECONFIG can name both."
        )
    assert path.read_text() == "apiVersion: v1\n"


UNREADABLE = {
    "a folder": (lambda path: path.mkdir(parents=True), "cannot be read (Is a directory)"),
    "no text": (
        lambda path: (path.parent.mkdir(), path.write_bytes(b"\xff\xfe")),
        "cannot be read (it is no text)",
    ),
    "below a file": (lambda path: path.parent.touch(), "cannot be read (Not a directory)"),
}


@pytest.mark.parametrize(("make", "words"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read(site, path, make, words):
    make(path)
    answer = write(site, path)
    assert answer["failed"]
    assert words in answer["msg"]


def test_what_cannot_be_written(site):
    answer = write(site, Path("/proc/nowhere/config"))
    assert answer["failed"]
    assert "cannot be written (No such file or directory)" in answer["msg"]


def test_no_cluster(site, path):
    site.google.forget_requests()
    answer = site.run(gke_kubeconfig, name="nobody", location=LOCATION, path=str(path))
    assert answer["failed"]
    assert answer["msg"].startswith(
        f"There is no cluster nobody in {LOCATION} of project {site.google.project}: create it"
    )


def test_the_endpoint_in_dns(site, path):
    server = write(site, path, endpoint="dns")["server"]
    assert server.endswith(".gke.goog")


def test_a_cluster_that_is_being_made(site, path):
    site.begin("young")
    answer = site.run(gke_kubeconfig, name="young", location=LOCATION, path=str(path))
    assert answer["failed"]
    assert "(its status is PROVISIONING): wait until it is RUNNING" in answer["msg"]
    assert not path.exists()
