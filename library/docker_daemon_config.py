#!/usr/bin/python
"""Ansible module docker_daemon_config: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: docker_daemon_config
short_description: Merge options into the Docker engine's daemon.json
description:
  - Validates the options first, since the engine does not start with an unknown option or a value
    of the wrong type. Engines that can validate a file themselves (23 and later) are used as well.
  - The engine reads the file only when it starts. A pending restart is recorded in O(pending), with
    the previous content of the file, until O(state=settled) or O(state=restored). If a run is
    interrupted between the change and the restart, the next run completes it.
version_added: 0.1.0
author:
  - docker-ml-api
options:
  options:
    description:
      - Options to set. Dictionaries are merged with those in the file, a null removes an
        option, and any other value replaces the existing one.
    type: dict
    default: {}
  state:
    description:
      - V(present) merges O(options) into the file.
      - V(settled) clears the pending change, once the engine runs with it.
      - V(restored) restores the file to its content before the pending change.
    type: str
    choices: [present, settled, restored]
    default: present
  path:
    description: Path of the file.
    type: path
    default: /etc/docker/daemon.json
  pending:
    description: File that records a change until the engine has been restarted.
    type: path
    default: /run/docker-engine-restart-pending.json
  dockerd:
    description: Engine program to validate the file with. Defaults to the installed one.
    type: path
attributes:
  check_mode:
    support: full
    description: Validates and compares, but writes nothing.
  diff_mode:
    support: full
    description: Shows the file before and after.
"""

EXAMPLES = r"""
- name: Keep the engine's logs small
  docker_daemon_config:
    options:
      log-driver: json-file
      log-opts: {max-size: 10m, max-file: "3"}
  register: config

- name: Restart the engine if it has not read the file yet
  ansible.builtin.service:
    name: docker
    state: restarted
  when: config.restart_pending

- name: The engine answers with the new file
  docker_daemon_config:
    state: settled
"""

RETURN = r"""
config:
  description: The options in the file after the module ran.
  returned: success
  type: dict
  sample: {"log-driver": "json-file"}
restart_pending:
  description: Whether the engine still has to be restarted to use the file.
  returned: success
  type: bool
"""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_ml_api.docker import daemon_config, engine

ARGUMENTS = {
    "options": {"type": "dict", "default": {}},
    "state": {
        "type": "str",
        "choices": ["present", "settled", "restored"],
        "default": "present",
    },
    "path": {"type": "path", "default": "/etc/docker/daemon.json"},
    "pending": {"type": "path", "default": "/run/docker-engine-restart-pending.json"},
    "dockerd": {"type": "path"},
}
VALIDATION_TIMEOUT = 30


def read(path: Path) -> str | None:
    """Return the file's text; None if the file does not exist."""
    return path.read_text(encoding="utf-8") if path.exists() else None


def write(module: AnsibleModule, path: Path, text: str, mode: int) -> None:
    """Write the file atomically; an existing file keeps its owner and mode."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    scratch = Path(module.tmpdir, f"{path.name}.new")
    # The umask determines the mode of a new file.
    umask = os.umask(0o777 ^ mode)
    try:
        scratch.write_text(text, encoding="utf-8")
        module.atomic_move(str(scratch), str(path))
    finally:
        os.umask(umask)


def ask_dockerd(module: AnsibleModule, text: str) -> None:
    """Validate the text of the file with the installed engine.

    Raises ConfigError with the engine's own message if the engine rejects it.
    """
    dockerd = module.params["dockerd"] or engine.find_engine(os.environ.get("PATH", ""))
    if not dockerd:
        return
    scratch = Path(module.tmpdir, "candidate.json")
    scratch.write_text(text, encoding="utf-8")
    answer = engine.run_command(
        [dockerd, "--validate", "--config-file", str(scratch)], VALIDATION_TIMEOUT
    )
    # Engines before 23 cannot validate a file.
    if answer.status and "unknown flag" not in answer.err:
        said = engine.sentence(answer.err).replace(str(scratch), module.params["path"])
        raise daemon_config.ConfigError(f"{dockerd} refuses these options: {said}")


def merge_options(module: AnsibleModule, path: Path, pending: Path) -> dict[str, Any]:
    """Merge the options into the file; return the module's result."""
    wanted = module.params["options"]
    problems = daemon_config.problems_of(wanted)
    if problems:
        raise daemon_config.ConfigError(" ".join(problems))
    text = read(path)
    current = daemon_config.parse(text or "", str(path))
    merged = daemon_config.merge(current, wanted)
    changed = merged != current
    after = daemon_config.dump(merged) if changed else text or ""
    if changed:
        ask_dockerd(module, after)
    if changed and not module.check_mode:
        if not pending.exists():
            write(module, pending, json.dumps({"before": text}), 0o600)
        write(module, path, after, 0o644)
    return {
        "changed": changed,
        "config": merged,
        "restart_pending": changed or pending.exists(),
        "diff": {
            "before": text or "",
            "after": after,
            "before_header": str(path),
            "after_header": str(path),
        },
    }


def text_before(kept: str, path: Path, pending: Path) -> str | None:
    """Return the file's text before the pending change, or None if there was no file."""
    try:
        before = json.loads(kept)["before"]
        if before is None or isinstance(before, str):
            return before
    except (ValueError, KeyError, TypeError):
        pass
    raise daemon_config.ConfigError(
        f"{pending} is damaged, so {path} cannot be restored: correct {path} by hand, then remove "
        f"{pending}."
    )


def end_pending(module: AnsibleModule, path: Path, pending: Path) -> dict[str, Any]:
    """Clear the pending change, or revert it; return the module's result."""
    text, kept = read(path), read(pending)
    restore = kept is not None and module.params["state"] == "restored"
    after = text_before(kept or "", path, pending) if restore else text
    changed = after != text
    if kept is not None and not module.check_mode:
        if changed and after is None:
            path.unlink()
        elif changed:
            write(module, path, after or "", 0o644)
        with contextlib.suppress(FileNotFoundError):
            pending.unlink()
    return {
        "changed": changed,
        "config": daemon_config.parse(after or "", str(path)),
        "restart_pending": restore,
        "diff": {"before": text or "", "after": after or ""},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    path, pending = Path(module.params["path"]), Path(module.params["pending"])
    action = merge_options if module.params["state"] == "present" else end_pending
    try:
        result = action(module, path, pending)
    except (OSError, ValueError, daemon_config.ConfigError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
