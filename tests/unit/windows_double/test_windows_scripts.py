"""Which PowerShell scripts are understood, and that all others are refused."""

from __future__ import annotations

import pytest

from support.windows_double import catalogue, scripts
from support.windows_double.programs import UnmodelledError

HEAD = "[CmdletBinding(SupportsShouldProcess)]\nparam()\n"
ADMINISTRATOR = """\
$user = [Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent()
$is = $user.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
"""
PROCESSOR = (
    "$p = Get-CimInstance -ClassName Win32_Processor -Property VirtualizationFirmwareEnabled"
)
UNKNOWN = """\
param(
    [string[]]$Names = @()
)
$no = @(foreach ($name in $Names) {
        try {
            $account = [Security.Principal.NTAccount]$name
            $null = $account.Translate([Security.Principal.SecurityIdentifier])
        }
        catch [Security.Principal.IdentityNotMappedException] {
            $name
        }
    })
"""


def script(begin, *pairs):
    body = "\n".join(f"    {pair}" for pair in pairs)
    return f"{begin}\n$Ansible.Changed = $false\n$Ansible.Result = @{{\n{body}\n}}\n"


@pytest.mark.parametrize(
    ("kind", "text", "result"),
    [
        ("win11-pro", script(ADMINISTRATOR, "a = $is"), {"a": True}),
        ("no-administrator", script(ADMINISTRATOR, "a = $is"), {"a": False}),
        (
            "win11-pro",
            script(PROCESSOR, "a = [bool]$p.VirtualizationFirmwareEnabled"),
            {"a": True},
        ),
        (
            "virtualization-off",
            script(PROCESSOR, "a = $p.VirtualizationFirmwareEnabled"),
            {"a": False},
        ),
        # A property that was not requested is missing.
        (
            "win11-pro",
            script(PROCESSOR, "a = $p.SecondLevelAddressTranslationExtensions"),
            {"a": None},
        ),
        ("win11-pro", script("", "# why", "a = $env:SystemDrive"), {"a": "C:"}),
    ],
)
def test_what_is_read(kind, text, result):
    answer = scripts.answer(catalogue.make(kind), text, {})
    assert (answer["result"], answer["changed"]) == (result, False)


def test_names_that_nobody_has():
    text = script(UNKNOWN, "a = $no")
    given = {"Names": ["bob", r".\ada", "eve"]}
    assert scripts.answer(catalogue.make("win11-pro"), text, given)["result"] == {"a": ["eve"]}


def test_a_parameter_that_the_script_has_not():
    answer = scripts.answer(catalogue.make("win11-pro"), script(UNKNOWN, "a = $no"), {"Users": []})
    assert answer["failed"]
    assert "parameter name 'Users'" in answer["msg"]


@pytest.mark.parametrize(
    "text",
    [
        script("Set-Content C:\\a b", "a = $env:TEMP"),
        script("$p = Get-CimInstance -ClassName Win32_Fan", "a = $p.Speed"),
        script(PROCESSOR.replace("VirtualizationFirmwareEnabled", "Voltage"), "a = $p.Voltage"),
        script("", "a = Get-Date"),
        script("", "a = $unset"),
        "Get-Service",
    ],
)
def test_what_is_not_known_is_not_guessed(text):
    with pytest.raises(UnmodelledError):
        scripts.answer(catalogue.make("win11-pro"), text, {})


@pytest.mark.parametrize(
    ("text", "supports"),
    [
        (HEAD, True),
        ("# [CmdletBinding(SupportsShouldProcess)]\nparam()", False),
        ("[CmdletBinding()]\nparam()", False),
        ("'a'", False),
    ],
)
def test_check_mode(text, supports):
    assert scripts.supports_check_mode(text) is supports
