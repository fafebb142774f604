"""What Ansible sends, made by Ansible itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.executor.powershell import module_manifest
from ansible.plugins.loader import module_loader
from ansible.plugins.shell.powershell import ShellModule

from support.windows_double import payload


def built(arguments, *, environment=None, timeout=0, become=None):
    path = module_loader.find_plugin("ansible.windows.win_ping", mod_type=".ps1")
    return module_manifest._create_powershell_wrapper(
        name="ansible_collections.ansible.windows.plugins.modules.win_ping",
        module_data=Path(path).read_bytes(),
        module_path=path,
        module_args=arguments,
        environment=environment or {},
        async_timeout=timeout,
        become_plugin=become,
        substyle="powershell",
        task_vars={},
        profile="legacy",
    )


def test_module():
    arguments = {"data": "hi", "_ansible_check_mode": True, "_ansible_no_log": False}
    call = payload.read(built(arguments, environment={"WSL_UTF8": "1"}))
    assert isinstance(call, payload.Call)
    assert call.module == "ansible.windows.win_ping"
    assert call.arguments == {"data": "hi"}
    assert call.environment == {"WSL_UTF8": "1"}
    assert (call.check_mode, call.no_log, call.is_async) == (True, False, False)
    assert "#AnsibleRequires" in call.source


def test_asynchronous_module():
    call = payload.read(built({}, timeout=30, environment={"ANSIBLE_ASYNC_DIR": "C:\\a"}))
    assert isinstance(call, payload.Call)
    assert call.is_async


def test_helper_of_ansible():
    parameters = {"Directory": "%TEMP%", "Name": "a"}
    script, data = module_manifest._bootstrap_powershell_script(
        "powershell_mkdtemp.ps1", parameters
    )
    assert "ConvertFrom-Json" in script
    assert payload.read(data) == payload.Script("powershell_mkdtemp.ps1", parameters)


@pytest.mark.parametrize("quote", ["", "'"])
def test_encoded_command(quote):
    command = ShellModule()._encode_script("Remove-Item 'C:\\a' -Force;", strict_mode=False)
    first, encoded = command.rsplit(" ", 1)
    told = payload.command_text(f"{first} {quote}{encoded}{quote}")
    assert told.startswith("Remove-Item 'C:\\a' -Force;")
    assert payload.command_text("whoami.exe") == "whoami.exe"


def test_something_else():
    with pytest.raises(payload.UnreadableError):
        payload.read(b"echo")


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("ansible_collections.a.b.plugins.modules.win_c.ps1", "a.b.win_c"),
        ("ansible_collections.a.b.plugins.modules.sub.win_c.ps1", "a.b.win_c"),
        ("ansible.legacy.docker_thing.ps1", "docker_thing"),
        ("docker_thing.ps1", "docker_thing"),
    ],
)
def test_module_name(script, name):
    assert payload.module_name(script) == name
