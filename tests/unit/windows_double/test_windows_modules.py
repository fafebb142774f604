"""What modules return: each result has only keys that the real module documents."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.plugins.loader import fragment_loader, module_loader
from ansible.utils.plugin_docs import get_docstring

from support.windows_double import catalogue, modules, specification
from support.windows_double import machine as windows
from support.windows_double.modules import Asked
from support.windows_double.programs import UnmodelledError

WINDOWS = "ansible.windows."
CHOCOLATEY = "chocolatey.chocolatey.win_chocolatey"
FEATURES = [windows.WSL, windows.VM_PLATFORM]
PACKAGE = {
    "path": r"C:\ProgramData\installer.exe",
    "product_id": "Docker Desktop",
    "arguments": ["install", "--quiet", "--accept-license"],
}
# Returned by any module; `skipped` and the output of programs are not documented.
COMMON = {"changed", "failed", "msg", "rc", "skipped", "ansible_facts", "stdout", "stderr"}
# Returned by the real modules, but not documented.
UNDOCUMENTED = {
    "win_command": {"start", "end", "delta", "cmd"},
    "win_copy": {"files", "directories", "symlinks", "operation"},
    "win_group_membership": {"removed"},
    "win_tempfile": {"state"},
    "win_user": {"state"},
    "win_chocolatey": {"choco_cli_version", "command"},
}


def machine(kind="win11-pro", **faults):
    made = catalogue.make(kind)
    for name, value in faults.items():
        setattr(made.faults, name, value)
    return made


def ask(made, module, check=False, **arguments):
    full = module if "." in module else WINDOWS + module
    path = Path(module_loader.find_plugin(full, mod_type=".ps1"))
    accepts = specification.of(full, path.read_text(encoding="utf-8-sig"))
    parameters, problems = accepts.judge(arguments)
    assert problems == []
    answer = modules.answer(full, Asked(made, parameters, check))
    unknown = set(answer) - COMMON - returned(path) - UNDOCUMENTED.get(path.stem, set())
    assert not unknown, f"{full} returns no {sorted(unknown)}"
    return answer


def returned(path: Path) -> set[str]:
    for suffix in (".py", ".yml"):
        beside = path.with_suffix(suffix)
        if suffix == ".py" and beside.exists():
            return set(get_docstring(str(beside), fragment_loader)[2] or {})
        if beside.exists():
            return set(yaml.safe_load(beside.read_text(encoding="utf-8")).get("RETURN") or {})
    raise AssertionError(path)


def test_all_answers_are_of_real_modules():
    for name in modules.ANSWERS:
        assert module_loader.find_plugin(name, mod_type=".ps1"), name


def test_a_module_without_an_answer_fails():
    with pytest.raises(UnmodelledError):
        modules.answer("ansible.windows.win_dns_record", Asked(machine(), {}))


@pytest.mark.parametrize(
    ("subset", "there", "missing"),
    [
        (["!all", "!min", "memory"], {"memtotal_mb"}, {"os_name", "user_id"}),
        (["!all"], {"os_name", "architecture2", "user_id"}, {"memtotal_mb"}),
        (["all"], {"os_name", "memtotal_mb"}, set()),
    ],
)
def test_facts(subset, there, missing):
    facts = ask(machine(), "setup", gather_subset=subset)["ansible_facts"]
    names = {name.removeprefix("ansible_") for name in facts}
    assert there <= names
    assert not missing & names


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("win10-home", {"os_product_type": "workstation", "distribution_version": "10.0.19045.0"}),
        ("server-2022", {"os_product_type": "server"}),
        ("32-bit", {"architecture2": "i386"}),
        ("pending-reboot", {"reboot_pending": True}),
        ("no-administrator", {"architecture": None}),
    ],
)
def test_facts_of_machines(kind, facts):
    found = ask(machine(kind), "setup")["ansible_facts"]
    assert {name: found[f"ansible_{name}"] for name in facts} == facts


def test_disks_are_an_administrators():
    disks = ask(machine("low-disk"), "community.windows.win_disk_facts")["ansible_facts"]
    volume = disks["ansible_disks"][0]["partitions"][1]["volumes"][0]
    assert volume["size_remaining"] == 900 << 20
    refused = ask(machine("no-administrator"), "community.windows.win_disk_facts")
    assert refused["failed"]
    assert "elevated" in refused["msg"]


@pytest.mark.parametrize(
    ("path", "name", "exists", "value"),
    [
        (windows.CURRENT_VERSION, "EditionID", True, "Professional"),
        (windows.CURRENT_VERSION.lower(), "editionid", True, "Professional"),
        (windows.CURRENT_VERSION, "Nothing", False, None),
        (windows.LXSS_MSI, "Version", False, None),
        (windows.CURRENT_VERSION, None, True, None),
        (r"HKLM:\SOFTWARE\Microsoft", None, True, None),
        (r"HKLM:\SOFTWARE\Nobody", None, False, None),
    ],
)
def test_registry(path, name, exists, value):
    answer = ask(machine(), "win_reg_stat", path=path, **({"name": name} if name else {}))
    assert (answer["exists"], answer.get("value")) == (exists, value)


def test_registry_path_that_is_none():
    assert ask(machine(), "win_reg_stat", path="SOFTWARE")["failed"]


def test_registry_edit():
    made, key = machine(), r"HKCU:\Software\Some"
    edit = {"path": key, "name": "a", "data": "1"}
    assert ask(made, "win_regedit", **edit)["changed"]
    assert not ask(made, "win_regedit", **edit)["changed"]
    assert ask(made, "win_regedit", path=key, name="a", state="absent")["changed"]
    assert not ask(made, "win_regedit", path=key, name="a", state="absent")["changed"]


def test_files():
    made, path = machine(), r"C:\ProgramData\some"
    assert ask(made, "win_file", path=path, state="directory")["changed"]
    assert not ask(made, "win_file", path=path, state="directory")["changed"]
    assert ask(made, "win_file", path=path, state="file")["failed"]
    assert ask(made, "win_stat", path=path)["stat"]["isdir"]
    assert ask(made, "win_file", path=path + r"\a.txt")["failed"]
    assert ask(made, "win_file", path=path + r"\a.txt", state="touch")["changed"]
    assert ask(made, "win_stat", path=path + r"\a.txt")["stat"]["extension"] == ".txt"
    assert ask(made, "win_file", path=path, state="absent")["changed"]
    assert not ask(made, "win_file", path=path, state="absent")["changed"]
    assert not ask(made, "win_stat", path=path + r"\a.txt")["stat"]["exists"]
    assert ask(made, "slurp", path=path)["failed"]


def test_copies():
    made = machine()
    made.put_file(r"C:\ProgramData\source", b"abc")
    file = {"dest": "a.txt", "checksum": "a9993e364706816aba3e25717850c26c9cd0d89d", "src": "/a"}
    query = {"dest": r"C:\ProgramData", "_copy_mode": "query", "files": [file]}
    assert ask(made, "win_copy", **query)["files"] == [file]
    single = {"src": r"C:\ProgramData\source", "dest": r"C:\ProgramData\a.txt"}
    assert ask(made, "win_copy", _copy_mode="single", **single)["changed"]
    assert ask(made, "win_copy", **query)["files"] == []
    assert not ask(made, "win_copy", _copy_mode="remote", **single)["changed"]


def download(made, check=False, **arguments):
    given = {
        "url": windows.INSTALLER_URL,
        "dest": r"C:\ProgramData\a.exe",
        "checksum_algorithm": "sha256",
    }
    return ask(made, "win_get_url", check, **{**given, **arguments})


SHA256 = modules._digest(windows.INSTALLER.encode(), "sha256")


def test_download():
    made = machine()
    first = download(made, checksum=SHA256.upper(), force=False)
    assert (first["changed"], first["checksum_dest"]) == (True, SHA256)
    made.web.clear()
    again = download(made, checksum=SHA256, force=False)
    assert (again["changed"], again["checksum_dest"]) == (False, SHA256)


@pytest.mark.parametrize(
    ("page", "arguments", "said"),
    [
        ({"breaks": 1}, {}, "forcibly closed"),
        ({"status": 404}, {}, "(404)"),
        ({"content": "tampered"}, {"checksum": SHA256}, "did not match"),
        ({}, {"url": "https://nowhere.example/a"}, "could not be resolved: 'nowhere.example'"),
        ({}, {"dest": r"C:\Nowhere\a.exe"}, "does not exist for destination"),
    ],
)
def test_downloads_that_fail(page, arguments, said):
    made = machine()
    for name, value in page.items():
        setattr(made.web[windows.INSTALLER_URL], name, value)
    answer = download(made, **arguments)
    assert answer["failed"]
    assert said in answer["msg"]
    assert not made.exists(r"C:\ProgramData\a.exe")


def test_a_wrong_file_is_downloaded_anew():
    made = machine()
    made.put_file(r"C:\ProgramData\a.exe", b"half of it")
    assert download(made, checksum=SHA256, force=False)["changed"]


def test_features():
    made = machine()
    first = ask(made, "win_optional_feature", name=FEATURES, include_parent=True)
    again = ask(made, "win_optional_feature", name=FEATURES, include_parent=True)
    # Like the real module: a feature that waits for a restart is enabled again, and still waits.
    assert first == again == {"changed": True, "reboot_required": True}
    made.restart()
    last = ask(made, "win_optional_feature", name=FEATURES, include_parent=True)
    assert last == {"changed": False, "reboot_required": False}
    assert ask(made, "win_optional_feature", name=FEATURES, state="absent")["changed"]


@pytest.mark.parametrize(
    ("kind", "name", "faults", "said"),
    [
        ("win11-home", windows.HYPER_V, {}, f"Failed to find feature '{windows.HYPER_V}'"),
        ("win11-pro", "Nothing", {}, "Failed to find feature 'Nothing'"),
        ("no-administrator", windows.WSL, {}, "elevation"),
        ("win11-pro", windows.WSL, {"feature_error": "0x800f081f"}, "0x800f081f"),
    ],
)
def test_features_that_fail(kind, name, faults, said):
    answer = ask(machine(kind, **faults), "win_optional_feature", name=[name])
    assert answer["failed"]
    assert said in answer["msg"]


def test_features_of_servers_are_another_modules():
    assert ask(machine(), "win_feature", name="Containers")["failed"]


def test_services():
    made = machine("has-stopped-desktop")
    start = {"name": "com.docker.service", "start_mode": "auto", "state": "started"}
    assert ask(made, "win_service", **start)["changed"]
    assert not ask(made, "win_service", **start)["changed"]
    assert ask(made, "win_service", name="nothing")["failed"]
    assert ask(made, "win_service_info", name="com.docker.service")["services"]


def test_groups():
    made = machine("has-desktop")
    join = {"name": "docker-users", "members": ["bob", r".\ADA"]}
    first = ask(made, "win_group_membership", **join)
    assert (first["changed"], made.groups["docker-users"]) == (True, ["bob", "ada"])
    assert not ask(made, "win_group_membership", **join)["changed"]
    assert ask(made, "win_group_membership", name="none", members=["bob"])["failed"]
    assert ask(made, "win_group_membership", name="docker-users", members=["eve"])["failed"]
    leave = {"name": "docker-users", "members": ["bob"]}
    assert ask(made, "win_group_membership", state="absent", **leave)["changed"]
    assert ask(made, "win_user", name="eve")["changed"]
    assert ask(made, "win_group_membership", state="pure", name="docker-users", members=["eve"])
    assert made.groups["docker-users"] == ["eve"]
    assert ask(made, "win_group", name="others")["changed"]
    assert not ask(made, "win_group", name="others")["changed"]


def test_commands():
    made = machine("has-desktop")
    ran = ask(made, "win_command", argv=["docker", "run", "hello-world"])
    assert (ran["rc"], ran["changed"]) == (0, True)
    failed = ask(made, "win_command", argv=["docker", "run", "none", "x"])
    assert failed["rc"] == 0  # any image can be pulled here
    made.engine.no_registry = True
    failed = ask(made, "win_command", cmd="docker run other")
    assert (failed["failed"], failed["rc"], failed["msg"]) == (True, 125, "non-zero return code")
    missing = ask(made, "win_command", argv=["choco", "list"])
    assert (missing["failed"], missing["rc"]) == (True, 2)
    assert "stdout" not in missing
    skipped = ask(made, "win_command", cmd="whoami", creates=windows.DOCKER_CLI)
    assert skipped["skipped"]


@pytest.mark.parametrize(
    ("faults", "rc", "reboot", "failed"),
    [
        ({}, 0, False, False),
        # With failed=False, Ansible does not treat an exit code for a restart as a failure.
        ({"installer_exit": 3010}, 3010, True, False),
        ({"installer_exit": 1603, "installer_exits": 1}, 1603, False, True),
    ],
)
def test_package(faults, rc, reboot, failed):
    made = machine(**faults)
    made.put_file(PACKAGE["path"], windows.INSTALLER.encode())
    answer = ask(made, "win_package", **PACKAGE)
    assert (answer["rc"], answer["reboot_required"]) == (rc, reboot)
    assert answer.get("failed") is failed
    if failed:
        assert ask(made, "win_package", **PACKAGE)["changed"]
    assert not ask(made, "win_package", **PACKAGE)["changed"]


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        (None, {}, "cannot be reached"),
        (b"tampered", {"checksum": SHA256, "checksum_algorithm": "sha256"}, "did not match"),
        (b"tampered", {}, "not a valid application"),
    ],
)
def test_packages_that_fail(content, arguments, said):
    made = machine()
    if content is not None:
        made.put_file(PACKAGE["path"], content)
    answer = ask(made, "win_package", **PACKAGE, **arguments)
    assert answer["failed"]
    assert said in answer["msg"]
    assert made.desktop is None


def test_a_package_in_check_mode_need_not_be_there():
    assert ask(machine(), "win_package", check=True, **PACKAGE)["changed"]


def test_wsl_by_its_package():
    made = machine()
    path = r"C:\ProgramData\wsl.msi"
    made.put_file(path, windows.WSL_INSTALLER.encode())
    assert ask(made, "win_package", path=path)["changed"]
    assert not ask(made, "win_package", path=path)["changed"]
    assert made.wsl_version == windows.WSL_VERSION


CHOCO = {"name": "docker-desktop", "install_args": "--accept-license --backend=wsl-2"}


def test_chocolatey():
    made = machine()
    first = ask(made, CHOCOLATEY, **CHOCO)
    assert first["changed"]
    assert made.desktop.license_accepted
    assert set(made.packages) == {"chocolatey", "docker-desktop"}
    assert not ask(made, CHOCOLATEY, **CHOCO)["changed"]
    assert ask(made, CHOCOLATEY, version="4.1", **CHOCO)["failed"]
    facts = ask(made, "chocolatey.chocolatey.win_chocolatey_facts")["ansible_facts"]
    assert len(facts["ansible_chocolatey"]["packages"]) == 2


@pytest.mark.parametrize(
    ("faults", "rc", "failed"),
    [
        ({"installer_exit": 3010}, 3010, False),
        ({"installer_exit": 1603, "installer_exits": 1}, 1603, True),
        ({"installer_exit": 5, "installer_exits": 1}, 5, True),
    ],
)
def test_chocolatey_tells_the_installers_end(faults, rc, failed):
    answer = ask(machine(**faults), CHOCOLATEY, **CHOCO)
    assert (answer["rc"], answer.get("failed", False)) == (rc, failed)
    assert (f"Exit code was '{rc}'" in answer.get("stdout", "")) == failed


@pytest.mark.parametrize(
    ("url", "page"),
    [
        (windows.CHOCOLATEY_URL, {"status": 503}),
        (windows.INSTALLER_URL, {"breaks": 1}),
        (windows.INSTALLER_URL, {"content": "tampered"}),
    ],
)
def test_chocolatey_without_the_internet(url, page):
    made = machine()
    for name, value in page.items():
        setattr(made.web[url], name, value)
    assert ask(made, CHOCOLATEY, **CHOCO)["failed"]
    assert made.desktop is None


def test_chocolatey_in_check_mode_where_it_is_missing():
    answer = ask(machine(), CHOCOLATEY, check=True, **CHOCO)
    assert (answer["skipped"], answer["changed"]) == (True, True)


@pytest.mark.parametrize("module", ["win_ping", "win_whoami"])
def test_others(module):
    assert not ask(machine(), module)["changed"]


def test_temporary_files():
    made = machine()
    assert made.exists(ask(made, "win_tempfile")["path"])
    assert made.is_folder(ask(made, "win_tempfile", state="directory")["path"])
