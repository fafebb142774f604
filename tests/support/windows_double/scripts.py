"""Interpreting PowerShell scripts that read properties of a machine.

PowerShell does not run. A script is interpreted as far as it queries CIM classes and a user's role
and assigns the results to $Ansible.Result. Anything else is rejected.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from support.windows_double.programs import UnmodelledError

if TYPE_CHECKING:
    from support.windows_double.machine import Machine

_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
_QUERY = re.compile(
    r"\$(?P<name>\w+)\s*=\s*Get-CimInstance\s+-ClassName\s+(?P<class>\w+)"
    r"(?:\s+-Property\s+(?P<properties>@\([^)]*\)|[\w']+(?:\s*,\s*[\w']+)*))?"
)
_ROLE = re.compile(r"\$(?P<name>\w+)\s*=\s*\$\w+\.IsInRole\([^\n]*Administrator\)")
# The names in a list that do not belong to an account.
_UNMAPPED = re.compile(
    r"\$(?P<name>\w+)\s*=\s*@\(foreach \(\$(?P<one>\w+) in \$(?P<all>\w+)\)"
    r".*?NTAccount\].*?\.Translate\(\[Security\.Principal\.SecurityIdentifier\]\)"
    r".*?IdentityNotMappedException\]\s*\{\s*\$(?P=one)\s*\}\s*\}\)",
    re.DOTALL,
)
_PARAMETERS = re.compile(r"\bparam\s*\((?P<body>.*?)\n?\)\s*\n", re.DOTALL)
_ENVIRONMENT = re.compile(r"\$env:(\w+)$")
_RESULT = re.compile(r"\$Ansible\.Result\s*=\s*@\{(?P<body>.*?)\n\}", re.DOTALL)
_PAIR = re.compile(r"^\s*(?P<key>\w+)\s*=\s*(?P<value>[^\n]+?)\s*;?\s*$", re.MULTILINE)
_VALUE = re.compile(r"(?P<cast>\[bool\])?\$(?P<name>\w+)(?:\.(?P<property>\w+))?$")
_SHOULD_PROCESS = re.compile(r"\[CmdletBinding\(\s*SupportsShouldProcess\s*\)\]\s*param\s*\(")
_UNCHANGED = re.compile(r"\$Ansible\.Changed\s*=\s*\$false")
_CHANGING = re.compile(
    r"\b(?:Set|New|Remove|Start|Stop|Restart|Enable|Disable|Install|Add|Invoke)-[A-Z]\w+"
)


def supports_check_mode(script: str) -> bool:
    """Return whether the module runs the script in check mode, too."""
    return bool(_SHOULD_PROCESS.search(_COMMENT.sub("", script)))


def answer(machine: Machine, script: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the script's result in the format of win_powershell."""
    text = _COMMENT.sub("", script)
    declared = _PARAMETERS.search(text)
    names = set(re.findall(r"\$(\w+)", declared["body"])) if declared else set()
    unknown = set(parameters) - names
    if unknown:
        said = f"A parameter cannot be found that matches parameter name '{min(unknown)}'."
        return {"failed": True, "changed": False, "msg": said}
    changing = _CHANGING.search(text)
    if changing:
        raise UnmodelledError(f"The double does not run {changing.group()}.")
    result = _RESULT.search(text)
    if not result:
        raise UnmodelledError("The double only knows scripts that set $Ansible.Result.")
    known = _known(machine, text, parameters)
    return {
        "changed": not _UNCHANGED.search(text),
        "result": {
            pair["key"]: _value(machine, pair["value"], known)
            for pair in _PAIR.finditer(result["body"])
        },
        "host_out": "",
        "host_err": "",
        "output": [],
        "error": [],
        "warning": [],
        "verbose": [],
        "debug": [],
        "information": [],
    }


def _known(machine: Machine, text: str, parameters: dict[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {found["name"]: machine.administrator for found in _ROLE.finditer(text)}
    for query in _QUERY.finditer(text):
        everything = machine.cim.get(query["class"])
        if everything is None:
            raise UnmodelledError(f"The double does not know the class {query['class']}.")
        asked = re.findall(r"\w+", query["properties"] or "") or list(everything)
        unknown = set(asked) - set(everything)
        if unknown:
            raise UnmodelledError(f"The double does not know {min(unknown)}.")
        # Properties that were not selected are empty; the query requires administrator rights.
        known[query["name"]] = (
            {name: everything[name] for name in asked} if machine.administrator else {}
        )
    accounts = {user.lower() for user in machine.users}
    for found in _UNMAPPED.finditer(text):
        given = parameters.get(found["all"]) or []
        known[found["name"]] = [
            one
            for one in given
            if one.removeprefix(".\\").rpartition("\\")[2].lower() not in accounts
        ]
    return known


def _value(machine: Machine, written: str, known: dict[str, Any]) -> Any:
    variable = _ENVIRONMENT.match(written)
    if variable:
        return machine.expand(f"%{variable[1]}%")
    match = _VALUE.match(written)
    if not match or match["name"] not in known:
        raise UnmodelledError(f"The double does not know what {written} is.")
    value = known[match["name"]]
    if match["property"]:
        value = value.get(match["property"])
    return bool(value) if match["cast"] else value
