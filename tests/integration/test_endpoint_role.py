"""Role endpoint, run by ansible-playbook against small real servers."""

from __future__ import annotations

import contextlib
import http.server
import sys

import prediction_check
import pytest
import yaml

from support import ROOT, loopback, ports
from support.ansible_run import run_playbook

PLAYBOOK = """
- name: Ask
  hosts: localhost
  gather_facts: false
  vars_files: [{inputs}]
  roles: [endpoint]
"""
PREFLIGHT = """
- name: Ask
  hosts: localhost
  gather_facts: false
  vars_files: [{inputs}]
  tasks:
    - name: Inputs of the endpoint
      ansible.builtin.import_role: {{name: endpoint, tasks_from: preflight}}
"""


@contextlib.contextmanager
def served(answers):
    """A server on a free port; `answers` maps a path to (status, content type, body)."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            status, content_type, body = answers[self.path]
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = asked
    with loopback.answering(server):
        yield server


@pytest.fixture
def play(tmp_path):
    """Run the role with inputs; return the exit status, the tasks' results by name, the output."""

    def run(*arguments, playbook=PLAYBOOK, **inputs):
        values = tmp_path / "inputs.yml"
        values.write_text(yaml.safe_dump(inputs))
        book = tmp_path / "play.yml"
        book.write_text(playbook.format(inputs=values))
        ended = run_playbook(
            *("-i", "localhost,", "-c", "local"),
            *("-e", f"ansible_python_interpreter={sys.executable}"),
            book,
            *arguments,
        )
        assert ended.changed == []
        results = {name.rpartition(" : ")[2]: result for name, result in ended.tasks}
        return ended.status, results, ended.text

    return run


GOOD = {
    "/isAlive": (200, "text/plain", b"true"),
    "/prediction/?f=0.05": (200, "text/plain", b"[199.60306236]\n"),
    "/": (200, "text/plain; charset=utf-8", b"Hello, world!\nVersion: 1.0.0\nHostname: h\n"),
}


def apps(port):
    """Return the project's apps with their checks, all on one port."""
    facts = yaml.safe_load((ROOT / "inventory/group_vars/all/apps.yml").read_text())
    found = [{"name": app["name"], "checks": app["checks"]} for app in facts["apps"]]
    return [{**app, "published_port": port} for app in found]


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_the_apps_answer(play, arguments):
    with served(GOOD) as server:
        port = server.server_port
        status, results, output = play(*arguments, endpoint_apps=apps(port), endpoint_samples=2)
        assert status == 0, output
        assert sorted(server.asked) == sorted(list(GOOD) * 2)
    said = results["Say what was checked"]["msg"]
    assert [line.partition(" in p50 ")[0] for line in said["checked"]] == [
        f"http://127.0.0.1:{port}/ answered Hello, world!",
        f"http://127.0.0.1:{port}/isAlive answered true",
        f"http://127.0.0.1:{port}/prediction/?f=0.05 answered [199.60306236]",
    ]
    assert said["try"] == [
        f"curl http://localhost:{port}/",
        f"curl http://localhost:{port}/isAlive",
        f"curl 'http://localhost:{port}/prediction/?f=0.05'",
    ]
    assert ("note" in said) is bool(arguments)


WRONG = {
    **GOOD,
    "/prediction/?f=0.05": (200, "text/plain", b"[nan]"),
    "/": (500, "text/html", b"\noops\n"),
}


def test_wrong_answers_fail_the_play(play):
    with served(WRONG) as server:
        status, results, _ = play(endpoint_apps=apps(server.server_port))
    assert status == 2
    hello, model = results["Ask each app"]["results"]
    assert hello["msg"].endswith("answered 500 Internal Server Error: oops")
    assert model["msg"].endswith(
        "answered [NaN], expected [199.6] ± 0.1 (at [0]: NaN is not 199.6)"
    )
    assert "Say what was checked" not in results


def test_wrong_answers_are_only_told_in_check_mode(play):
    with served(WRONG) as server:
        status, results, _ = play("--check", endpoint_apps=apps(server.server_port))
    assert status == 0
    said = results["Say what was checked"]["msg"]
    assert "expected [199.6] ± 0.1" in said["checked"][-1]
    assert said["note"].startswith("Check mode")


def test_nothing_there_yet(play):
    port = ports.closed()
    status, results, _ = play("--check", endpoint_apps=apps(port))
    assert status == 0
    said = results["Say what was checked"]["msg"]
    assert said["checked"][0] == f"http://127.0.0.1:{port}/: nothing listens at 127.0.0.1:{port}"
    assert len(said["try"]) == 3
    status, results, _ = play(endpoint_apps=apps(port), endpoint_deadline=0.2)
    assert status == 2
    assert f"nothing listens at 127.0.0.1:{port}" in results["Ask each app"]["results"][0]["msg"]


def test_url_instead_of_address_and_port(play):
    with served(GOOD) as server:
        status, results, output = play(
            endpoint_address="127.0.0.9",
            endpoint_apps=[
                {
                    "name": "replica",
                    "url": f"http://127.0.0.1:{server.server_port}",
                    "checks": [{"path": "/isAlive", "expected": True}],
                }
            ],
        )
    assert status == 0, output
    (line,) = results["Say what was checked"]["msg"]["checked"]
    assert line.startswith(f"http://127.0.0.1:{server.server_port}/isAlive answered true")


def test_nan_that_is_expected(play):
    with served({"/": (200, "text/plain", b"[nan 1.]")}) as server:
        status, _, output = play(
            endpoint_apps=[
                {
                    "name": "nan",
                    "published_port": server.server_port,
                    "checks": [{"expected": [float("nan"), 1]}],
                }
            ]
        )
    assert status == 0, output


CHECK = {"path": "/", "expected": 1}


@pytest.mark.parametrize("playbook", [PLAYBOOK, PREFLIGHT], ids=["main", "preflight"])
@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({}, "missing required arguments: endpoint_apps"),
        ({"endpoint_apps": [{"name": "a", "published_port": 1}]}, "checks"),
        (
            {"endpoint_apps": [{"name": "a", "checks": [CHECK]}]},
            "endpoint_apps: a has neither a published_port nor a url",
        ),
        (
            {"endpoint_apps": [{"name": "a", "published_port": 1, "checks": [{"pth": "/"}]}]},
            "pth. Supported parameters include",
        ),
        (
            {
                "endpoint_apps": [
                    {"name": "a", "published_port": 1, "checks": [{**CHECK, "expected_text": "1"}]}
                ]
            },
            "mutually exclusive",
        ),
        ({"endpoint_apps": [], "endpoint_timeout": "soon"}, "endpoint_timeout"),
    ],
)
def test_wrong_inputs(play, playbook, inputs, says):
    for arguments in [], ["--check"]:
        status, results, output = play(*arguments, playbook=playbook, **inputs)
        assert status == 2
        assert says in output
        assert "Ask each app" not in results


def test_wrong_module_options_fail_in_check_mode_too(play):
    status, results, _ = play(
        "--check",
        endpoint_apps=[{"name": "a", "published_port": 1, "checks": [{"path": "no-slash"}]}],
    )
    assert status == 2
    assert "path must begin with a slash" in results["Ask each app"]["results"][0]["msg"]


def test_the_role_takes_the_checks_of_the_module():
    specs = yaml.safe_load((ROOT / "roles/endpoint/meta/argument_specs.yml").read_text())
    entry_points = specs["argument_specs"]
    assert entry_points["main"]["options"] == entry_points["preflight"]["options"]
    stated = entry_points["main"]["options"]["endpoint_apps"]["options"]["checks"]
    options = {
        name: {key: value for key, value in option.items() if key != "description"}
        for name, option in stated["options"].items()
    }
    assert options == prediction_check.CHECKS["options"]
    exclusive = [tuple(names) for names in stated["mutually_exclusive"]]
    assert exclusive == prediction_check.OPTIONS["checks"]["mutually_exclusive"]


def test_the_defaults_are_those_that_are_documented():
    specs = yaml.safe_load((ROOT / "roles/endpoint/meta/argument_specs.yml").read_text())
    options = specs["argument_specs"]["main"]["options"]
    defaults = yaml.safe_load((ROOT / "roles/endpoint/defaults/main.yml").read_text())
    assert defaults == {
        name: option["default"] for name, option in options.items() if "default" in option
    }
    assert options["endpoint_apps"]["required"]
