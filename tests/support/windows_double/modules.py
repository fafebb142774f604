"""The results of modules on a machine.

Each function emulates a module's PowerShell code, in its order and with its messages. A module
without a function fails with a message that says so.
"""

from __future__ import annotations

import base64
import ntpath
import re
import zipfile
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

from support.windows_double import machine as windows
from support.windows_double import programs, scripts
from support.windows_double.programs import NoProgramError, UnmodelledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.windows_double.machine import Machine

Answer = dict[str, Any]
_CHOCOLATEY_SUCCESS = (0, 1605, 1614, 1641, 3010)
_PRODUCT = "Docker Desktop"
_RESTART = 3010
_ENCODINGS = {"unicode": "utf-16-le", "utf-16": "utf-16-le", "utf-8": "utf-8", "": "utf-8"}


class FailedError(Exception):
    """The module fails like the real one."""

    def __init__(self, message: str, **values: Any) -> None:
        super().__init__(message)
        self.answer = {"failed": True, "changed": False, "msg": message, **values}


@dataclass
class Asked:
    """A call of a module."""

    machine: Machine
    parameters: dict[str, Any]
    check: bool = False
    environment: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.parameters.get(name)


def answer(module: str, asked: Asked) -> Answer:
    """Return the module's result, and change the machine as the module would."""
    function = ANSWERS.get(module)
    if function is None:
        raise UnmodelledError(f"The double has no answer for the module {module}.")
    try:
        return {"changed": False, **function(asked)}
    except FailedError as error:
        return error.answer


# Facts


_SUBSETS = {
    "min": {"date_time", "distribution", "dns", "env", "local", "platform", "powershell_version",
            "user"},
    "network": {"all_ipv4_addresses", "all_ipv6_addresses", "interfaces", "windows_domain",
                "winrm"},
    "hardware": {"bios", "memory", "processor", "uptime", "virtual"},
    "external": {"facter"},
}  # fmt: skip


def _subsets(asked: list[str]) -> set[str]:
    everything = set[str]().union(*_SUBSETS.values())
    groups = {**_SUBSETS, "all": everything}
    kept, without = set[str](), set[str]()
    for one in asked:
        if one == "!all":
            without |= everything - groups["min"]
        elif one.startswith("!"):
            without |= groups.get(one[1:], {one[1:]})
        else:
            kept |= groups.get(one, {one})
    return (everything - without) | kept


def setup(asked: Asked) -> Answer:
    machine = asked.machine
    product = machine.product
    architecture = {"64-bit": "x86_64", "32-bit": "i386"}.get(machine.architecture, "arm64")
    facts: dict[str, dict[str, Any]] = {
        "distribution": {
            "distribution": f"Microsoft {product}",
            "distribution_version": f"10.0.{machine.build}.0",
            "distribution_major_version": "10",
            "os_family": "Windows",
            "os_name": f"Microsoft {product}",
            "os_product_type": "server" if machine.server else "workstation",
            "os_installation_type": "Server" if machine.server else "Client",
        },
        "platform": {
            "architecture": machine.architecture if machine.administrator else None,
            "architecture2": architecture,
            "hostname": machine.name,
            "kernel": f"10.0.{machine.build}.0",
            "reboot_pending": bool({"component", "files"} & set(machine.pending_reboot)),
            "system": "Win32NT",
        },
        "memory": {"memtotal_mb": machine.memory_mb, "memfree_mb": machine.memory_mb // 2},
        "user": {"user_id": machine.user, "user_dir": rf"C:\Users\{machine.user}"},
        "powershell_version": {"powershell_version": 5},
        "env": {"env": {name: machine.expand(f"%{name}%") for name in ("TEMP", "USERPROFILE")}},
        "virtual": {"virtualization_role": "NA", "virtualization_type": "NA"},
    }
    wanted = _subsets(asked["gather_subset"] or ["all"])
    found = {
        f"ansible_{name}": value
        for subset, values in facts.items()
        if subset in wanted
        for name, value in values.items()
    }
    gathered = {"gather_subset": asked["gather_subset"], "module_setup": True}
    return {"ansible_facts": {**gathered, **found}}


def win_disk_facts(asked: Asked) -> Answer:
    machine = asked.machine
    if not machine.administrator:
        raise FailedError("Module was not started with elevated rights")
    filters = asked["filter"]
    disk: dict[str, Any] = {"number": 0, "size": 500 << 30, "system_disk": True}
    if {"partitions", "volumes"} & set(filters):
        partition: dict[str, Any] = {"number": 3, "size": 499 << 30, "drive_letter": "C"}
        if "volumes" in filters:
            left = machine.disk_free_mb << 20
            partition["volumes"] = [{"size": 499 << 30, "size_remaining": left, "type": "NTFS"}]
        # A partition without a drive letter, which every machine has.
        disk["partitions"] = [{"number": 1, "size": 100 << 20, "drive_letter": "\0"}, partition]
    return {"ansible_facts": {"ansible_disks": [disk]}}


def win_whoami(asked: Asked) -> Answer:
    return {"account": {"account_name": asked.machine.user, "domain_name": asked.machine.name}}


def win_reg_stat(asked: Asked) -> Answer:
    path = asked["path"]
    if not re.match(r"^HK(CC|CR|CU|LM|U):\\", path, re.IGNORECASE):
        raise FailedError(f"path: {path} is not a valid registry path, see module documentation")
    view = {key.lower(): values for key, values in asked.machine.registry_view.items()}
    key = path.rstrip("\\").lower()
    inside = [other for other in view if other.startswith(key + "\\")]
    if key not in view and not inside:
        return {"exists": False}
    values = {name: _registry_value(value) for name, value in view.get(key, {}).items()}
    if asked["name"] is None:
        subkeys = sorted({other[len(key) + 1 :].split("\\")[0] for other in inside})
        return {"exists": True, "properties": values, "sub_keys": subkeys}
    found = {name.lower(): value for name, value in values.items()}.get(asked["name"].lower())
    return {"exists": True, **found} if found else {"exists": False}


def _registry_value(value: Any) -> dict[str, Any]:
    kinds = {int: "REG_DWORD", list: "REG_MULTI_SZ"}
    return {"type": kinds.get(type(value), "REG_SZ"), "value": value, "raw_value": value}


def win_regedit(asked: Asked) -> Answer:
    machine = asked.machine
    key, name, data = asked["path"].rstrip("\\"), asked["name"], asked["data"]
    present = asked["state"] != "absent"
    before = machine.registry_view.get(key)
    had = before is not None and (name is None or name in before)
    if present:
        same = had and (name is None or (before is not None and before[name] == data))
        values = machine.registry.setdefault(key, {})
        if name is not None:
            values[name] = data
        return {"changed": not same, "data_changed": had and not same, "data_type_changed": False}
    if name is None:
        machine.registry.pop(key, None)
    else:
        machine.registry.get(key, {}).pop(name, None)
    return {"changed": had, "data_changed": False, "data_type_changed": False}


# Files


def win_stat(asked: Asked) -> Answer:
    machine, path = asked.machine, asked["path"]
    entry = machine.entry(path)
    if entry is None:
        return {"stat": {"exists": False}}
    stat: dict[str, Any] = {
        "exists": True,
        "path": entry["path"],
        "filename": ntpath.basename(entry["path"]),
        "isdir": entry["folder"],
        "isreg": not entry["folder"],
        "islnk": False,
    }
    if not entry["folder"]:
        content = machine.content(path)
        stat["extension"] = ntpath.splitext(entry["path"])[1]
        if asked["get_size"] is not False:
            stat["size"] = len(content)
        if asked["get_checksum"] is not False:
            stat["checksum"] = machine.checksum(path, asked["checksum_algorithm"] or "sha1")
    return {"stat": stat}


def win_file(asked: Asked) -> Answer:
    machine, path, state = asked.machine, asked["path"], asked["state"]
    entry = machine.entry(path)
    if state == "touch":
        if entry is None:
            machine.put_file(path, b"")
        return {"changed": True}
    if state == "absent":
        machine.remove(path)
        return {"changed": entry is not None}
    wants_folder = state == "directory" or (state is None and path.endswith(("\\", "/")))
    if entry is not None:
        if state == "directory" and not entry["folder"]:
            raise FailedError(f"path {path} is not a directory")
        if state == "file" and entry["folder"]:
            raise FailedError(f"path {path} is not a file")
        return {}
    if not wants_folder:
        raise FailedError(f"path {path} will not be created")
    machine.make_folder(path)
    return {"changed": True}


def win_copy(asked: Asked) -> Answer:
    return _COPIES[asked["_copy_mode"] or "single"](asked)


def _copy_query(asked: Asked) -> Answer:
    machine, folder = asked.machine, asked["dest"]
    files = []
    for file in asked["files"] or []:
        path = folder.rstrip("\\/") + "\\" + file["dest"]
        if machine.is_folder(path):
            raise FailedError(f"cannot copy file to dest '{path}': object at path is already a"
                              " directory")  # fmt: skip
        if not machine.exists(path) or (
            asked["force"] is not False and machine.checksum(path, "sha1") != file["checksum"]
        ):
            files.append(file)
    folders = [
        one
        for one in asked["directories"] or []
        if not machine.is_folder(folder.rstrip("\\/") + "\\" + one["dest"])
    ]
    return {"files": files, "directories": folders, "symlinks": []}


def _copy_single(asked: Asked) -> Answer:
    machine, dest = asked.machine, asked["dest"]
    content = machine.content(asked["src"])
    if dest.endswith(("\\", "/")) or machine.is_folder(dest):
        dest = dest.rstrip("\\/") + "\\" + asked["_original_basename"]
    machine.make_folder(ntpath.dirname(machine.expand(dest)))
    machine.put_file(dest, content)
    return {
        "changed": True,
        "dest": dest,
        "operation": "file_copy",
        "checksum": machine.checksum(dest, "sha1"),
        "size": len(content),
    }


def _copy_explode(asked: Asked) -> Answer:
    machine, dest = asked.machine, asked["dest"].rstrip("\\/")
    machine.make_folder(dest)
    with zipfile.ZipFile(BytesIO(machine.content(asked["src"]))) as archive:
        for name in archive.namelist():
            path = dest + "\\" + base64.b64decode(name.rstrip("/")).decode().replace("/", "\\")
            if name.endswith("/"):
                machine.make_folder(path)
            else:
                machine.make_folder(ntpath.dirname(path))
                machine.put_file(path, archive.read(name))
    return {"changed": True, "dest": dest, "operation": "folder_copy"}


def _copy_remote(asked: Asked) -> Answer:
    machine, source, dest = asked.machine, asked["src"], asked["dest"]
    if not machine.exists(source):
        raise FailedError(f"Cannot copy src file: '{source}' as it does not exist")
    content = machine.content(source)
    changed = not machine.exists(dest) or machine.content(dest) != content
    machine.make_folder(ntpath.dirname(machine.expand(dest)))
    machine.put_file(dest, content)
    return {"changed": changed, "src": source, "dest": dest, "operation": "file_copy"}


_COPIES: dict[str, Callable[[Asked], Answer]] = {
    "query": _copy_query,
    "single": _copy_single,
    "explode": _copy_explode,
    "remote": _copy_remote,
}


def slurp(asked: Asked) -> Answer:
    if not asked.machine.exists(asked["path"] or asked["src"]):
        raise FailedError(f"Path {asked['path'] or asked['src']} was not found")
    content = asked.machine.content(asked["path"] or asked["src"])
    return {"content": base64.b64encode(content).decode(), "encoding": "base64"}


def win_tempfile(asked: Asked) -> Answer:
    machine = asked.machine
    folder = machine.expand(asked["path"] or "%TEMP%")
    path = f"{folder}\\{asked['prefix'] or 'ansible.'}{len(machine.files)}{asked['suffix'] or ''}"
    if asked["state"] == "directory":
        machine.make_folder(path)
    else:
        machine.put_file(path, b"")
    return {"changed": True, "path": path, "state": asked["state"] or "file"}


def win_get_url(asked: Asked) -> Answer:
    machine, url, dest = asked.machine, asked["url"], asked["dest"]
    algorithm, checksum = asked["checksum_algorithm"] or "sha1", (asked["checksum"] or "").lower()
    result: Answer = {"url": url, "dest": dest, "elapsed": 0.1}
    if machine.is_folder(dest):
        dest = result["dest"] = dest.rstrip("\\") + "\\" + url.rpartition("/")[2]
    there = machine.checksum(dest, algorithm) if machine.exists(dest) else ""
    force = asked["force"] is not False or bool(there and checksum and there != checksum)
    if there and not force:
        return {**result, "checksum_dest": there, "size": len(machine.content(dest))}
    folder = ntpath.dirname(machine.expand(dest))
    if not machine.is_folder(folder):
        raise FailedError(
            f"The path '{folder}' does not exist for destination '{dest}', or is not visible to the"
            " current user. Ensure download destination folder exists (perhaps using win_file"
            " state=directory) before win_get_url runs.",
            **result,
        )
    content = _download(machine, url, f"Error downloading '{url}' to '{dest}': ", result)
    source = _digest(content, algorithm)
    if checksum and source != checksum:
        raise FailedError(
            f"The checksum for {url} did not match '{checksum}', it was '{source}'",
            **{**result, "checksum_src": source},
        )
    machine.put_file(dest, content)
    ended = {"checksum_src": source, "status_code": 200, "msg": "OK"}
    if not asked.check:
        ended |= {"checksum_dest": source, "size": len(content)}
    return {**result, **ended, "changed": there != source}


def _digest(content: bytes, algorithm: str) -> str:
    return windows.hashlib.new(algorithm, content).hexdigest()


def _download(machine: Machine, url: str, what: str, result: Answer) -> bytes:
    page = machine.web.get(url)
    if page is None:
        host = url.split("/")[2] if "//" in url else url
        raise FailedError(f"{what}The remote name could not be resolved: '{host}'", **result)
    if page.status != 200:
        raise FailedError(
            f"{what}The remote server returned an error: ({page.status})",
            **{**result, "status_code": page.status},
        )
    if page.breaks:
        page.breaks -= 1
        raise FailedError(
            f"{what}Unable to read data from the transport connection: An existing connection was"
            " forcibly closed by the remote host.",
            **result,
        )
    return page.content.encode()


# Features and services


def win_optional_feature(asked: Asked) -> Answer:
    machine, names = asked.machine, asked["name"]
    if machine.server and any(name not in machine.features for name in names):
        raise FailedError(f"Failed to find feature '{names[0]}'", reboot_required=False)
    for name in names:
        if name not in machine.features:
            raise FailedError(f"Failed to find feature '{name}'", reboot_required=False)
    present = asked["state"] != "absent"
    # As in the module: a feature that is pending a restart is enabled again.
    begins = "Enabled" if present else "Disabled"
    changing = [name for name in names if not machine.features[name].startswith(begins)]
    if not changing:
        return {"reboot_required": False}
    if asked.check:
        return {"changed": True, "reboot_required": False}
    if not machine.administrator:
        raise FailedError("The requested operation requires elevation.", reboot_required=False)
    if machine.faults.feature_error:
        raise FailedError(machine.faults.feature_error, reboot_required=False)
    if present:
        needed = machine.enable(changing, parents=bool(asked["include_parent"]))
    else:
        needed = machine.disable(changing)
    return {"changed": True, "reboot_required": needed}


def win_feature(asked: Asked) -> Answer:
    if not asked.machine.server:
        raise FailedError("This version of Windows does not support the Install-WindowsFeature.")
    raise UnmodelledError("The double does not know what features a server has.")


def win_service(asked: Asked) -> Answer:
    machine, name = asked.machine, asked["name"]
    service = machine.services.get(name)
    if service is None:
        raise FailedError(
            f"Service '{name}' is not installed, need to set 'path' to create a new service",
            exists=False,
        )
    before = dict(service)
    if asked["start_mode"]:
        service["start_mode"] = asked["start_mode"]
    if asked["state"] in ("started", "restarted"):
        service["state"] = "running"
    elif asked["state"] == "stopped":
        service["state"] = "stopped"
    changed = service != before or asked["state"] == "restarted"
    return {"changed": changed, "exists": True, "name": name, **service}


def win_service_info(asked: Asked) -> Answer:
    names = [asked["name"]] if asked["name"] else list(asked.machine.services)
    found = [
        {"name": name, **asked.machine.services[name]}
        for name in names
        if name in asked.machine.services
    ]
    return {"exists": bool(found), "services": found}


# Users


def win_group(asked: Asked) -> Answer:
    groups, name = asked.machine.groups, asked["name"]
    there = name in groups
    if asked["state"] == "absent":
        groups.pop(name, None)
        return {"changed": there}
    groups.setdefault(name, [])
    return {"changed": not there}


def win_group_membership(asked: Asked) -> Answer:
    machine, name, state = asked.machine, asked["name"], asked["state"] or "present"
    if name not in machine.groups:
        raise FailedError(f"Could not find local group {name}", name=name)
    known = {user.lower(): user for user in machine.users}
    wanted = []
    for member in asked["members"]:
        short = member.rpartition("\\")[2].lower()
        if short not in known:
            raise FailedError(
                f"account_name {member} is not a valid account, cannot get SID", name=name
            )
        wanted.append(known[short])
    before = machine.groups[name]
    if state == "absent":
        machine.groups[name] = [one for one in before if one not in wanted]
    elif state == "pure":
        machine.groups[name] = wanted
    else:
        machine.groups[name] = [*before, *[one for one in wanted if one not in before]]
    after = machine.groups[name]

    def full(names: list[str]) -> list[str]:
        return [rf"{machine.name.upper()}\{one}" for one in names]

    result: Answer = {"name": name, "members": full(after), "changed": before != after}
    if state != "absent":
        result["added"] = full([one for one in after if one not in before])
    if state != "present":
        result["removed"] = full([one for one in before if one not in after])
    return result


def win_user(asked: Asked) -> Answer:
    machine, name = asked.machine, asked["name"]
    there = name in machine.users
    if asked["state"] == "query":
        return {"name": name, "state": "present" if there else "absent"}
    if asked["state"] == "absent":
        machine.users = [one for one in machine.users if one != name]
        return {"changed": there, "name": name, "state": "absent"}
    if not there:
        machine.users.append(name)
    return {"changed": not there, "name": name, "state": "present"}


# Programs


def win_command(asked: Asked) -> Answer:
    argv = asked["argv"] or programs.split(asked["cmd"] or asked["_raw_params"])
    written = " ".join(f'"{one}"' if " " in one else one for one in argv)
    for name, skips in (("creates", True), ("removes", False)):
        path = asked[name]
        if path and asked.machine.exists(path) == skips:
            why = "exists" if skips else "does not exist"
            return {"cmd": written, "rc": 0, "skipped": True, "msg": f"skipped, since {path} {why}"}
    encoding = _ENCODINGS[(asked["output_encoding_override"] or "").lower()]
    try:
        ran = programs.run(asked.machine, argv, asked.environment).read(encoding)
    except NoProgramError as error:
        raise FailedError(
            f'Failed to run: \'{written}\': Exception calling "CreateProcess" with "10"'
            ' argument(s): "CreateProcessW() failed (The system cannot find the file specified,'
            f' Win32ErrorCode 2 - 0x00000002): {error}"',
            cmd=written,
            rc=2,
        ) from error
    ended: Answer = {
        "cmd": written,
        "changed": True,
        "rc": ran.rc,
        "stdout": ran.stdout,
        "stderr": ran.stderr,
        "start": "2026-01-01 00:00:00.000000",
        "end": "2026-01-01 00:00:01.000000",
        "delta": "0:00:01.000000",
    }
    if ran.rc:
        return {**ended, "failed": True, "msg": "non-zero return code"}
    return ended


def win_powershell(asked: Asked) -> Answer:
    script = asked["script"]
    if script is None:
        raise UnmodelledError("The double does not read scripts that are on the machine already.")
    if asked.check and not scripts.supports_check_mode(script):
        return {"changed": True, "msg": "skipped, running in check mode"}
    return scripts.answer(asked.machine, script, asked["parameters"] or {})


def win_package(asked: Asked) -> Answer:
    machine, path = asked.machine, asked["path"]
    result: Answer = {"reboot_required": False, "rc": 0}
    is_url = bool(path) and path.lower().startswith("http")
    content = b""
    if is_url and not (asked["product_id"] and _installed(asked)):
        content = _download(machine, path, "", {**result, "url": path})
    elif path and not is_url:
        if not machine.exists(path):
            if not asked.check:
                raise FailedError(f"the file at the path '{path}' cannot be reached", **result)
        else:
            content = machine.content(path)
    present = asked["state"] != "absent"
    if _installed(asked) == present:
        return result
    if asked.check:
        return {**result, "changed": True}
    if not present:
        raise UnmodelledError("The double does not uninstall.")
    algorithm = asked["checksum_algorithm"] or "sha1"
    digest = _digest(content, algorithm).upper()
    if asked["checksum"] and asked["checksum"].upper() != digest:
        raise FailedError(
            f"The checksum for {path} did not match '{asked['checksum']}', it was '{digest}'",
            **result,
        )
    return _install(asked, content, {**result, "checksum": digest})


def _installed(asked: Asked) -> bool:
    machine = asked.machine
    if asked["product_id"] == _PRODUCT:
        return machine.desktop is not None
    if asked["creates_path"]:
        return machine.exists(asked["creates_path"])
    if asked["path"] and asked["path"].lower().endswith(".msi"):
        return machine.wsl_version == windows.WSL_VERSION
    return False


def _install(asked: Asked, content: bytes, result: Answer) -> Answer:
    machine, path, given = asked.machine, asked["path"], asked["arguments"]
    arguments = given if isinstance(given, list) else programs.split(given or "")
    try:
        if path.lower().endswith(".msi"):
            ran = programs.install_msi(machine, content)
        else:
            ran = programs.install(machine, content, arguments)
    except NoProgramError as error:
        raise FailedError(str(error), **result) from error
    if ran.rc not in (asked["expected_return_code"] or [0, 3010]):
        command = " ".join([f'"{path}"', *arguments])
        raise FailedError(
            f"unexpected rc from '{command}': see rc, stdout, and stderr for more details",
            **{**result, "rc": ran.rc, "stdout": ran.stdout, "stderr": ran.stderr},
        )
    # Explicit, because Ansible considers a result with a nonzero exit code as failed.
    ended = {"changed": True, "failed": False, "rc": ran.rc}
    return {**result, **ended, "reboot_required": ran.rc == _RESTART}


def win_chocolatey(asked: Asked) -> Answer:
    machine = asked.machine
    result: Answer = {"rc": 0}
    if "chocolatey" not in machine.packages:
        url = asked["bootstrap_script"] or windows.CHOCOLATEY_URL
        try:
            _download(machine, url, f"Failed to download Chocolatey script from '{url}'; ", {})
        except FailedError as error:
            raise FailedError(str(error), **result) from error
        if asked.check:
            return {
                **result,
                "changed": True,
                "skipped": True,
                "msg": "Skipped check mode run on win_chocolatey as choco.exe cannot be found on"
                " the system",
            }
        machine.packages["chocolatey"] = "2.5.1"
        result["changed"] = True
    result["choco_cli_version"] = machine.packages["chocolatey"]
    if asked["state"] not in (None, "present"):
        raise UnmodelledError(f"The double's choco does not know the state {asked['state']}.")
    for name in asked["name"]:
        there = machine.packages.get(name)
        if there and asked["version"] not in (None, there) and not asked["force"]:
            raise FailedError(
                f"Chocolatey package '{name}' is already installed with version(s) '{there}' but"
                f" was expecting '{asked['version']}'.",
                **result,
            )
        if there is None or asked["force"]:
            result |= _choco_install(asked, name, result)
    return result


def _choco_install(asked: Asked, name: str, result: Answer) -> Answer:
    machine = asked.machine
    if asked.check:
        return {"changed": True}
    if name != "docker-desktop":
        return _choco_failed(name, 1, f"{name} not installed. The package was not found with the"
                             " source(s) listed.", result)  # fmt: skip
    page = machine.web.get(windows.INSTALLER_URL)
    if page is None or page.status != 200 or page.breaks:
        if page is not None and page.breaks:
            page.breaks -= 1
        return _choco_failed(name, 404, "Attempt to get headers for the installer failed.", result)
    if page.content != windows.INSTALLER:
        return _choco_failed(name, -1, "Checksum for the installer did not meet the one expected.",
                             result)  # fmt: skip
    # The package's own arguments come first, then those of install_args.
    words = ["install", "--quiet", *programs.split(asked["install_args"] or "")]
    if asked["override_args"]:
        words = programs.split(asked["install_args"] or "")
    ran = programs.install(machine, page.content.encode(), words)
    if ran.rc not in _CHOCOLATEY_SUCCESS:
        return _choco_failed(name, ran.rc, f"Exit code was '{ran.rc}'.", result)
    machine.packages[name] = windows.DESKTOP_VERSION
    return {"changed": True, "failed": False, "rc": ran.rc}


def _choco_failed(name: str, rc: int, said: str, result: Answer) -> Answer:
    raise FailedError(
        f"Error installing package(s) '{name}'",
        **{**result, "rc": rc, "stdout": said, "stderr": said, "command": f"choco install {name}"},
    )


def win_chocolatey_facts(asked: Asked) -> Answer:
    machine = asked.machine
    if "chocolatey" not in machine.packages:
        raise FailedError("Failed to find choco.exe, make sure it is added to the PATH or the env"
                          " var 'ChocolateyInstall' is set")  # fmt: skip
    packages = [{"package": name, "version": one} for name, one in machine.packages.items()]
    return {"ansible_facts": {"ansible_chocolatey": {"packages": packages}}}


def win_ping(asked: Asked) -> Answer:
    return {"ping": asked["data"] or "pong"}


ANSWERS: dict[str, Callable[[Asked], Answer]] = {
    **{
        f"ansible.windows.{function.__name__}": function
        for function in (
            setup,
            slurp,
            win_command,
            win_copy,
            win_feature,
            win_file,
            win_get_url,
            win_group,
            win_group_membership,
            win_optional_feature,
            win_package,
            win_ping,
            win_powershell,
            win_reg_stat,
            win_regedit,
            win_service,
            win_service_info,
            win_stat,
            win_tempfile,
            win_user,
            win_whoami,
        )
    },
    "chocolatey.chocolatey.win_chocolatey": win_chocolatey,
    "chocolatey.chocolatey.win_chocolatey_facts": win_chocolatey_facts,
    "community.windows.win_disk_facts": win_disk_facts,
}
