"""The modules that decide about Windows machines, as Ansible calls them."""

import docker_windows_engine
import docker_windows_installer_end
import docker_windows_listing
import docker_windows_plan
import pytest

from support.run_module import run_module

MACHINE = {
    "distribution_version": "10.0.22631.0",
    "product_type": "workstation",
    "edition": "Core",
    "architecture": "x86_64",
    "memory_mb": 8192,
    "administrator": True,
    "hypervisor_present": True,
}


def test_a_plan(capsys):
    result = run_module(docker_windows_plan, capsys, facts=MACHINE, wanted={"accept_license": True})

    assert not result["changed"]
    assert result["plan"]["problems"] == []
    assert result["plan"]["windows"] == "Windows 11 Home (build 22631)"
    assert result["plan"]["source"] == "chocolatey"


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        ({}, {"accept_license": True}),
        (MACHINE, {}),
        (MACHINE, {"accept_license": True, "backend": "virtualbox"}),
        ({**MACHINE, "colour": "blue"}, {"accept_license": True}),
    ],
)
def test_what_is_not_known_is_refused(facts, wanted, capsys):
    assert run_module(docker_windows_plan, capsys, facts=facts, wanted=wanted)["failed"]


def test_an_engine(capsys):
    asked = [{"item": ["docker"], "rc": 2, "msg": "no such file"}]

    engine = run_module(docker_windows_engine, capsys, asked=asked)["engine"]

    assert engine["error"] == "There is no docker command on this host."


def test_an_installers_end(capsys):
    result = run_module(docker_windows_installer_end, capsys, result={"rc": 1223})

    assert result["sentence"] == "The installer ended with 1223: it was cancelled at the machine."


def test_a_listing(capsys):
    inspected = {"image": '[{"Id": "sha256:1", "RepoTags": ["hello-app:v1"]}]'}

    result = run_module(docker_windows_listing, capsys, inspected=inspected, removable=[])

    assert [image["RepoTags"] for image in result["found"]["images"]] == [["hello-app:v1"]]


@pytest.mark.parametrize("printed", ["no JSON", "[{}]", "[1]"])
def test_a_listing_that_cannot_be_read(printed, capsys):
    result = run_module(docker_windows_listing, capsys, inspected={"image": printed}, removable=[])

    assert result["failed"]
    assert "cannot be read" in result["msg"]
