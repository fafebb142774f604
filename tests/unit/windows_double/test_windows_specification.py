"""What a module accepts, read from its documentation and its own source."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.plugins.loader import module_loader

from support.windows_double import specification
from support.windows_double.specification import code_specification

COMMAND = "ansible.windows.win_command"
PACKAGE = "ansible.windows.win_package"


def of(module: str, cache: Path | None = None) -> specification.Specification:
    path = Path(module_loader.find_plugin(module, mod_type=".ps1"))
    return specification.of(module, path.read_text(encoding="utf-8-sig"), cache)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("$spec = @{ supports_check_mode = $true }", {"supports_check_mode": True}),
        ("$spec = @{\n a = 1; b = 'it''s'\n c = \"d\"\n}", {"a": 1, "b": "it's", "c": "d"}),
        ("$spec = @{ a = 'b', 'c' }", {"a": ["b", "c"]}),
        ("$spec = @{ a = @('b', 'c') }", {"a": ["b", "c"]}),
        ("$spec = @{ a = @('b',\n 'c') }", {"a": ["b", "c"]}),
        ("$spec = @{ a = @(, @('b', 'c')) }", {"a": [["b", "c"]]}),
        ("$spec = @{ a = @(@('b', 'c'), @('d')) }", {"a": [["b", "c"], ["d"]]}),
        ("$spec = @{ # why\n a = @{} <# or\n not #> }", {"a": {}}),
        ("function Get-ModuleSpec {\n @{ a = 1 }\n}", {"a": 1}),
        ("$spec = @{ a = $table.Keys + 'b'; c = 1 }", {"a": "?", "c": 1}),
        ("$spec = @{ a = [int]::MaxValue\n c = 1 }", {"a": "?", "c": 1}),
        ("Parse-Args $args", {}),
    ],
)
def test_literals(written, read):
    assert code_specification(written) == read


def test_what_is_no_literal():
    with pytest.raises(specification.NotLiteralError):
        code_specification("$spec = @{ a = & b }")


@pytest.mark.parametrize(
    ("module", "arguments", "problem"),
    [
        (COMMAND, {"argv": ["docker", "version"]}, ""),
        (COMMAND, {"_raw_params": "docker version"}, ""),
        (COMMAND, {}, "one of the following is required: _raw_params, argv, cmd"),
        (COMMAND, {"argv": ["a"], "cmd": "a"}, "mutually exclusive"),
        (COMMAND, {"argv": ["a"], "timeout": 3}, "Unsupported parameters"),
        (PACKAGE, {"path": "C:\\a.exe", "product_id": "A"}, ""),
        (
            PACKAGE,
            {"product_id": "A"},
            "state is present but all of the following are missing: path",
        ),
        (PACKAGE, {"state": "absent"}, "any of the following are missing: path, product_id"),
        (PACKAGE, {"path": "a", "creates_version": "1"}, "missing parameter(s) required by"),
        (
            PACKAGE,
            {"path": "a", "expected_return_code": ["none"]},
            "cannot be converted to an int",
        ),
        ("ansible.windows.win_service", {"name": "a", "state": "up"}, "must be one of"),
        ("ansible.windows.win_service", {"name": "a", "state": "started"}, ""),
        ("ansible.windows.win_get_url", {"url": "u", "dest": "d", "url_timeout": 3}, ""),
        ("ansible.windows.win_get_url", {"url": "u"}, "missing required arguments: dest"),
        (
            "ansible.windows.win_optional_feature",
            {"name": "A", "include_parent": "perhaps"},
            "bool",
        ),
        ("ansible.windows.win_copy", {"dest": "d", "_copy_mode": "query", "symlinks": []}, ""),
        ("ansible.windows.win_copy", {"dest": "d", "mode": "0644"}, "Unsupported parameters"),
        ("ansible.windows.setup", {"whatever": 1}, ""),
        ("chocolatey.chocolatey.win_chocolatey", {"name": "a", "params": "b"}, ""),
        (
            "chocolatey.chocolatey.win_chocolatey",
            {"name": "a", "packageparams": "b"},
            "Unsupported",
        ),
        ("community.windows.win_disk_facts", {"filter": ["disks"]}, "must be one or more of"),
    ],
)
def test_arguments(module, arguments, problem):
    problems = " ".join(of(module).judge(arguments)[1])
    assert problem in problems
    assert bool(problem) == bool(problems)


def test_defaults_and_types():
    parameters, _ = of(PACKAGE).judge({"path": "a", "expected_return_code": "0,3010"})
    assert parameters["expected_return_code"] == [0, 3010]
    assert parameters["checksum_algorithm"] == "sha1"


@pytest.mark.parametrize(
    ("module", "supported"),
    [
        (COMMAND, False),
        ("ansible.windows.win_shell", False),
        ("ansible.windows.win_copy", True),  # by Parse-Args
        ("ansible.windows.win_file", True),
        (PACKAGE, True),
        ("chocolatey.chocolatey.win_chocolatey", True),
    ],
)
def test_check_mode(module, supported):
    assert of(module).check_mode is supported


@pytest.mark.parametrize(
    ("module", "given", "shown"),
    [
        (
            "ansible.windows.win_user",
            {"name": "a", "password": "p"},
            {"name": "a", "password": "*"},
        ),
        (
            "ansible.windows.win_user",
            {"name": "a", "password_expired": True, "update_password": "always"},
            {"name": "a", "password_expired": True, "update_password": "*"},
        ),
        (
            "ansible.windows.win_powershell",
            {"sensitive_parameters": [{"name": "a", "value": "s"}]},
            {"sensitive_parameters": [{"name": "a", "value": "*"}]},
        ),
        ("chocolatey.chocolatey.win_chocolatey", {"proxy_password": ""}, {"proxy_password": ""}),
    ],
)
def test_secrets_are_masked(module, given, shown):
    text = repr(of(module).mask(given))
    assert text.replace("********", "*") == repr(shown)


def test_what_is_no_module():
    with pytest.raises(specification.UnknownModuleError):
        specification.of("ansible.windows.win_nothing", "")


def test_kept_for_the_next_process(tmp_path):
    first = of(PACKAGE, tmp_path)
    (tmp_path / f"{PACKAGE}.json").stat()
    assert specification.of(PACKAGE, "not read again", tmp_path) == first
