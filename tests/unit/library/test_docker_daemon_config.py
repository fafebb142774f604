"""The module against real files, and against programs that answer as dockerd does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import docker_daemon_config
import pytest

from support.run_module import run_module

if TYPE_CHECKING:
    from pathlib import Path

# The answer of engines before 23 to --validate.
CANNOT_CHECK = "#!/bin/sh\necho 'unknown flag: --validate' >&2\nexit 125\n"
REFUSES = '#!/bin/sh\necho "unable to configure the daemon with file $3: bad bip" >&2\nexit 1\n'
ACCEPTS = "#!/bin/sh\nexit 0\n"


class Host:
    """A temporary daemon.json, its pending file, and a dockerd."""

    def __init__(self, folder: Path, capsys):
        self.path = folder / "etc" / "daemon.json"
        self.pending = folder / "pending.json"
        self.dockerd = folder / "dockerd"
        self.capsys = capsys
        self.install(CANNOT_CHECK)

    def install(self, script: str) -> None:
        self.dockerd.write_text(script)
        self.dockerd.chmod(0o755)

    def write(self, text: str) -> None:
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(text)

    def run(self, **options):
        return run_module(
            docker_daemon_config,
            self.capsys,
            path=str(self.path),
            pending=str(self.pending),
            dockerd=str(self.dockerd),
            **options,
        )

    def options(self):
        return json.loads(self.path.read_text())


@pytest.fixture
def host(tmp_path, capsys):
    return Host(tmp_path, capsys)


def test_a_new_file(host):
    answer = host.run(options={"debug": True})
    assert answer["changed"]
    assert answer["restart_pending"]
    assert host.options() == {"debug": True}
    assert host.path.stat().st_mode & 0o777 == 0o644
    assert host.pending.stat().st_mode & 0o777 == 0o600
    assert answer["diff"]["before"] == ""
    assert answer["diff"]["after"] == host.path.read_text()


def test_merged_and_the_file_keeps_its_mode(host):
    host.write('{"labels": ["x=y"], "log-opts": {"max-size": "1m"}}')
    host.path.chmod(0o600)
    host.run(options={"log-opts": {"max-file": "2"}, "labels": None})
    assert host.options() == {"log-opts": {"max-size": "1m", "max-file": "2"}}
    assert host.path.stat().st_mode & 0o777 == 0o600


def test_nothing_to_do_leaves_the_text_as_it_is(host):
    host.write('{"debug":true}')
    answer = host.run(options={"debug": True})
    assert not answer["changed"]
    assert not answer["restart_pending"]
    assert host.path.read_text() == '{"debug":true}'


def test_a_restart_that_never_came_is_still_pending(host):
    host.run(options={"debug": True})
    answer = host.run(options={"debug": True})
    assert not answer["changed"]
    assert answer["restart_pending"]


def test_settled(host):
    host.run(options={"debug": True})
    answer = host.run(state="settled")
    assert not answer["changed"]
    assert not host.pending.exists()
    assert host.options() == {"debug": True}
    assert not host.run(options={"debug": True})["restart_pending"]
    assert not host.run(state="settled")["changed"]


def test_restored_to_the_file_before(host):
    host.write('{"mtu": 1400}')
    host.run(options={"debug": True})
    # A second change before the restart: the last file that worked is restored.
    host.run(options={"debug": False})
    answer = host.run(state="restored")
    assert answer["changed"]
    assert answer["restart_pending"]
    assert answer["config"] == {"mtu": 1400}
    assert host.path.read_text() == '{"mtu": 1400}'
    assert not host.pending.exists()


@pytest.mark.parametrize("damage", ["", "{", "{}", "[]", '{"before": 7}'])
def test_a_pending_file_that_is_damaged(host, damage):
    host.run(options={"debug": True})
    host.pending.write_text(damage)
    answer = host.run(state="restored")
    assert answer["failed"]
    assert answer["msg"].startswith(f"{host.pending} is damaged, so {host.path} cannot be restored")
    assert host.options() == {"debug": True}
    # The file before the change does not matter if the engine runs with the current one.
    assert not host.run(state="settled").get("failed")
    assert not host.pending.exists()


def test_restored_to_no_file(host):
    host.run(options={"debug": True})
    assert host.run(state="restored")["changed"]
    assert not host.path.exists()


def test_nothing_to_restore(host):
    host.write('{"mtu": 1400}')
    answer = host.run(state="restored")
    assert not answer["changed"]
    assert not answer["restart_pending"]
    assert host.options() == {"mtu": 1400}


@pytest.mark.parametrize("state", ["settled", "restored"])
def test_check_mode_of_the_end(host, state):
    host.run(options={"debug": True})
    answer = host.run(state=state, _ansible_check_mode=True)
    assert answer["changed"] is (state == "restored")
    assert host.pending.exists()
    assert host.options() == {"debug": True}


def test_check_mode_writes_nothing(host):
    answer = host.run(options={"debug": True}, _ansible_check_mode=True)
    assert answer["changed"]
    assert answer["diff"]["after"] == '{\n  "debug": true\n}\n'
    assert not host.path.exists()
    assert not host.pending.exists()


@pytest.mark.parametrize(
    ("before", "options", "dockerd", "expected"),
    [
        ("", {"debug": "yes"}, ACCEPTS, 'debug must be true or false, not "yes".'),
        ("{", {"debug": True}, ACCEPTS, "is no valid JSON"),
        ("[1]", {"debug": True}, ACCEPTS, "is no JSON object"),
        ("", {"bip": "nowhere"}, REFUSES, "daemon.json: bad bip."),
    ],
)
def test_refused_before_anything_is_written(host, before, options, dockerd, expected):
    host.write(before)
    host.install(dockerd)
    answer = host.run(options=options)
    assert answer["failed"]
    assert expected in answer["msg"]
    assert host.path.read_text() == before
    assert not host.pending.exists()


def test_an_engine_that_can_check_accepts(host):
    host.install(ACCEPTS)
    assert host.run(options={"debug": True})["changed"]


def test_without_an_engine_nobody_checks(host, monkeypatch):
    monkeypatch.setattr(docker_daemon_config.engine, "find_engine", lambda _: "")
    answer = run_module(
        docker_daemon_config,
        host.capsys,
        path=str(host.path),
        pending=str(host.pending),
        options={"debug": True},
    )
    assert answer["changed"]


def test_a_file_that_cannot_be_written(host):
    host.path.parent.write_text("no folder")
    assert host.run(options={"debug": True})["failed"]
