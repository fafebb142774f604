"""daemon_config: what the engine would refuse, and how options merge."""

from __future__ import annotations

import pytest
from ansible.module_utils.docker_ml_api.docker import daemon_config


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("debug", True, ""),
        ("debug", "yes", 'debug must be true or false, not "yes".'),
        ("debug", 1, "debug must be true or false, not 1."),
        ("debug", None, ""),
        ("mtu", 1400, ""),
        ("mtu", "1400", 'mtu must be an integer, not "1400".'),
        ("mtu", True, "mtu must be an integer, not true."),
        ("data-root", "/data", ""),
        ("data-root", ["/data"], 'data-root must be a string, not ["/data"].'),
        ("dns", ["192.0.2.1"], ""),
        ("dns", "192.0.2.1", 'dns must be a list, not "192.0.2.1".'),
        ("features", {"buildkit": True}, ""),
        ("features", [], "features must be a dictionary, not []."),
        ("log-opts", {"max-file": "3"}, ""),
        ("log-opts", {"max-file": None}, ""),
        ("log-opts", {"max-file": 3}, "log-opts.max-file must be a string (in quotation marks)."),
        ("log-level", "warn", ""),
        (
            "log-level",
            "warning",
            "log-level must be one of debug, info, warn, error, fatal, not warning.",
        ),
        (
            "log-levle",
            "warn",
            "log-levle is no option of the Docker engine; did you mean log-level?",
        ),
        ("zzz", None, "zzz is no option of the Docker engine."),
    ],
)
def test_problem_of(name, value, expected):
    assert daemon_config.problem_of(name, value) == expected


def test_every_problem_is_told():
    problems = daemon_config.problems_of({"debug": 1, "mtu": 1400, "zzz": 0})
    assert len(problems) == 2


@pytest.mark.parametrize(
    ("current", "wanted", "expected"),
    [
        ({}, {}, {}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"a": None}, {}),
        ({}, {"a": None}, {}),
        ({"a": [1]}, {"a": [2]}, {"a": [2]}),
        ({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
        ({"a": {"x": 1}}, {"a": {"x": None}}, {"a": {}}),
        ({"a": 1}, {"a": {"x": 1}}, {"a": {"x": 1}}),
    ],
)
def test_merge(current, wanted, expected):
    before = repr(current)
    assert daemon_config.merge(current, wanted) == expected
    assert repr(current) == before


@pytest.mark.parametrize(("text", "expected"), [("", {}), (" \n", {}), ('{"a": 1}', {"a": 1})])
def test_parse(text, expected):
    assert daemon_config.parse(text, "file") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("{", "daemon.json is no valid JSON"), ("[]", "daemon.json is no JSON object: fix")],
)
def test_parse_refuses(text, expected):
    with pytest.raises(daemon_config.ConfigError, match=expected):
        daemon_config.parse(text, "daemon.json")


def test_dump_is_stable():
    assert daemon_config.dump({"b": 1, "a": 2}) == '{\n  "a": 2,\n  "b": 1\n}\n'
