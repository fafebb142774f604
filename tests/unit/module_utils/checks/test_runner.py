"""Requests, their evaluation and retries, with a fake clock and client."""

import re

import pytest
from ansible.module_utils.docker_ml_api.checks.http import (
    Answer,
    Question,
    RequestFailedError,
)
from ansible.module_utils.docker_ml_api.checks.runner import (
    Check,
    Checker,
    Policy,
    SystemClock,
    Verdict,
    back_off,
    curl,
    decode,
    join_url,
    judge,
    media_type,
    next_wait,
    read_check,
    read_policy,
    retry_after,
    sentence,
    summarize,
)

BASE = "http://127.0.0.1:9000"
GET = Question("GET", BASE + "/")
NOW = 1_800_000_000.0
REFUSED = RequestFailedError("nothing_listens", "nothing listens at 127.0.0.1:9000", heals=True)
TIMED_OUT = RequestFailedError("timed_out", "no complete answer came within 10 s", heals=True)
UNKNOWN = RequestFailedError("name_unknown", "the name is unknown", heals=False)


class FakeClock:
    """A clock that advances only by sleep and by the duration of answers."""

    def __init__(self):
        self.now = 100.0
        self.slept = []

    def monotonic(self):
        return self.now

    def time(self):
        return NOW

    def sleep(self, seconds):
        assert seconds >= 0
        self.slept.append(round(seconds, 6))
        self.now += seconds


class Script:
    """A client that answers from a list; its last element is repeated."""

    def __init__(self, clock, *events):
        self.clock = clock
        self.events = list(events)
        self.timeouts = []
        self.questions = []

    def __call__(self, question, timeout):
        self.questions.append(question)
        self.timeouts.append(round(timeout, 6))
        event = self.events.pop(0) if len(self.events) > 1 else self.events[0]
        if isinstance(event, RequestFailedError):
            self.clock.now += timeout if event.kind == "timed_out" else 0
            raise event
        if event.seconds > timeout:
            self.clock.now += timeout
            raise TIMED_OUT
        self.clock.now += event.seconds
        return event


def answer(body="[199.6]", status=200, seconds=0.002, complete=True, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, "", named, body.encode(), seconds, complete)


def run(check, *events, policy=Policy(), jitter=0.0):  # noqa: B008 - immutable
    clock = FakeClock()
    client = Script(clock, *events)
    checker = Checker(client, policy, clock, lambda: jitter)
    return checker.run(check), clock, client


# Questions


@pytest.mark.parametrize(
    ("base", "path", "query", "url"),
    [
        (BASE, "/", None, BASE + "/"),
        (BASE + "/", "/isAlive", None, BASE + "/isAlive"),
        (BASE + "/v1/", "/a", None, BASE + "/v1/a"),
        (BASE, "/prediction/?f=0.05", None, BASE + "/prediction/?f=0.05"),
        (BASE, "/p", {"f": 0.05}, BASE + "/p?f=0.05"),
        (BASE, "/p?a=1", {"f": [1, 2], "g": "x y&z"}, BASE + "/p?a=1&f=1&f=2&g=x+y%26z"),
        (BASE, "/a b/ü%20", None, BASE + "/a%20b/%C3%BC%20"),
        ("https://[::1]:8443", "/", {}, "https://[::1]:8443/"),
        ("http://model.example.com", "/", None, "http://model.example.com/"),
    ],
)
def test_join_url(base, path, query, url):
    assert join_url(base, path, query) == url


@pytest.mark.parametrize(
    ("base", "path", "says"),
    [
        ("127.0.0.1:9000", "/", "url must be http://HOST"),
        ("ftp://host", "/", "url must be http://HOST"),
        ("http://", "/", "url must be http://HOST"),
        ("http://host:0", "/", "url must be http://HOST"),
        ("http://host:99999", "/", "is no URL"),
        ("http://[::1", "/", "is no URL"),
        ("http://user:secret@host", "/", "must hold no credentials"),
        ("http://host/?a=1", "/", "use query"),
        ("http://host/#a", "/", "use query"),
        (BASE, "isAlive", "path must begin with a slash, it is isAlive"),
    ],
)
def test_join_url_refuses(base, path, says):
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        join_url(base, path, None)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("params", "headers", "question"),
    [
        ({}, {}, Question("GET", BASE + "/", {}, None)),
        ({}, {"X": 1}, Question("GET", BASE + "/", {"X": "1"}, None)),
        (
            {"body": {"f": [0.05]}},
            {},
            Question("POST", BASE + "/", {"Content-Type": "application/json"}, b'{"f": [0.05]}'),
        ),
        (
            {"body": "0.05"},
            {},
            Question("POST", BASE + "/", {"Content-Type": "text/plain; charset=utf-8"}, b"0.05"),
        ),
        (
            {"body": "f: 1"},
            {"content-type": "text/yaml"},
            Question("POST", BASE + "/", {"content-type": "text/yaml"}, b"f: 1"),
        ),
        ({"method": "POST"}, {}, Question("POST", BASE + "/", {}, b"")),
    ],
)
def test_read_check_question(params, headers, question):
    assert read_check(BASE, {"path": "/", **params}, headers, 1).question == question


def test_read_check_keeps_what_is_expected():
    params = {
        "path": "/",
        "status": [200, 201],
        "content_type": "application/json",
        "expected": [1.0],
        "tolerance": 0.1,
        "relative_tolerance": 0.01,
        "latency_p50": 5.0,
        "latency_p99": 50.0,
    }
    check = read_check(BASE, params, {}, 7)
    assert check == Check(
        Question("GET", BASE + "/"),
        (200, 201),
        "application/json",
        [1.0],
        0.1,
        0.01,
        samples=7,
        latency_p50=5.0,
        latency_p99=50.0,
    )
    assert read_check(BASE, {**params, "samples": 3}, {}, 7).samples == 3


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"method": "GET", "body": "x"}, "a GET has no body"),
        ({"tolerance": -0.1}, "tolerance must be 0 or more, it is -0.1"),
        ({"tolerance": float("nan")}, "tolerance must be 0 or more"),
        ({"relative_tolerance": float("inf")}, "relative_tolerance must be 0 or more"),
        ({"latency_p50": 0.0}, "latency_p50 must be above 0 ms"),
        ({"latency_p99": -1.0}, "latency_p99 must be above 0 ms"),
        ({"samples": 0}, "samples must be 1 or more, it is 0"),
        ({"expected_text": "(", "text_match": "regex"}, "no regular expression"),
    ],
)
def test_read_check_refuses(params, says):
    with pytest.raises(ValueError, match=BASE) as caught:
        read_check(BASE, {"path": "/", **params}, {}, 1)
    assert says in str(caught.value)


OPTIONS = {
    "timeout": 10.0,
    "deadline": 60.0,
    "retries": None,
    "retry_delay": 0.25,
    "retry_delay_max": 5.0,
    "retry_statuses": [429, 502, 503, 504],
}


def test_read_policy():
    assert read_policy(OPTIONS) == Policy()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", 0.0),
        ("deadline", -1.0),
        ("deadline", float("inf")),
        ("retry_delay", float("nan")),
        ("retry_delay_max", 0.0),
        ("retries", -1),
    ],
)
def test_read_policy_refuses(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be"):
        read_policy({**OPTIONS, name: value})


@pytest.mark.parametrize(
    ("question", "command"),
    [
        (Question("GET", BASE + "/prediction/?f=0.05"), f"curl '{BASE}/prediction/?f=0.05'"),
        (Question("GET", BASE + "/?a=1&b=2"), f"curl '{BASE}/?a=1&b=2'"),
        (Question("GET", BASE + "/", {"Authorization": "secret"}), f"curl {BASE}/"),
        (
            Question(
                "POST",
                BASE + "/p",
                {"Content-Type": "application/json", "Authorization": "secret"},
                b'{"f": 1}',
            ),
            "curl -X POST -H 'Content-Type: application/json' -d '{\"f\": 1}' " + BASE + "/p",
        ),
    ],
)
def test_curl(question, command):
    assert curl(question) == command


# Answers


@pytest.mark.parametrize(
    ("header", "result"),
    [
        ("application/json", ("application/json", "utf-8")),
        ("Text/HTML; Charset=ISO-8859-1", ("text/html", "iso-8859-1")),
        (' text/plain ; charset="utf-16"', ("text/plain", "utf-16")),
        ("", ("", "utf-8")),
        ("nonsense", ("nonsense", "utf-8")),
    ],
)
def test_media_type(header, result):
    assert media_type(header) == result


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("ä".encode(), "text/plain", "ä"),
        ("ä".encode("latin-1"), "text/plain; charset=latin-1", "ä"),
        (b"\xff", "text/plain", "�"),
        ("ä".encode(), "text/plain; charset=no-such", "ä"),
        (b"ab", "text/plain; charset=hex", "ab"),
        (b"ab\xff", "text/plain; charset=idna", "ab�"),
    ],
)
def test_decode(body, content_type, text):
    assert decode(Answer(200, "", {"content-type": content_type}, body, 0.0)) == text


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
        ("Fri, 15 Jan 2027 07:59:00 GMT", 0.0),
        ("99999999999999", None),
    ],
)
def test_retry_after(value, seconds):
    assert retry_after(answer(retry_after=value), NOW) == seconds


NUMBERS = {"expected": [199.6], "tolerance": 0.1}


@pytest.mark.parametrize(
    ("fields", "given", "problems"),
    [
        ({}, answer("anything"), []),
        (NUMBERS, answer("[199.65]"), []),
        (NUMBERS, answer("[199.60306236]\n"), []),
        (
            NUMBERS,
            answer("[150.2]"),
            ["answered [150.2], expected [199.6] ± 0.1 (at [0]: 150.2 is not 199.6)"],
        ),
        (
            {"expected": 2.0, "relative_tolerance": 0.01},
            answer("2.5"),
            ["answered 2.5, expected 2.0 ± 1 %"],
        ),
        (
            NUMBERS,
            answer("Hello"),
            ['answered "Hello", expected [199.6] ± 0.1: "Hello" is no number'],
        ),
        ({"expected": False}, answer("false"), []),
        ({"expected": 0}, answer("1"), ["answered 1, expected 0"]),
        ({"content_type": "text/plain"}, answer(content_type="Text/Plain; charset=utf-8"), []),
        ({"content_type": "TEXT/plain; charset=x"}, answer(content_type="text/plain"), []),
        (
            {"content_type": "application/json"},
            answer(content_type="text/html; charset=utf-8"),
            ["answered the content type text/html, expected application/json"],
        ),
        (
            {"content_type": "application/json"},
            answer(),
            ["answered the content type none, expected application/json"],
        ),
        (
            {"content_type": "text/plain", **NUMBERS},
            answer("[1]", content_type="text/html"),
            [
                "answered the content type text/html, expected text/plain",
                "answered [1], expected [199.6] ± 0.1 (at [0]: 1 is not 199.6)",
            ],
        ),
        ({"expected_text": "true"}, answer("true\n"), []),
        ({"expected_text": "a\nb\n"}, answer("a\r\nb"), []),
        ({"expected_text": "true"}, answer(" true"), ['answered " true", expected "true"']),
        ({"expected_text": "", "text_match": "equal"}, answer(""), []),
        ({"expected_text": "Hello", "text_match": "prefix"}, answer("Hello, world!"), []),
        (
            {"expected_text": "world", "text_match": "prefix"},
            answer("Hello, world!"),
            ['answered "Hello, world!", expected a text that begins with "world"'],
        ),
        ({"expected_text": "world", "text_match": "contains"}, answer("Hello, world!"), []),
        (
            {"expected_text": "moon", "text_match": "contains"},
            answer("Hello"),
            ['answered "Hello", expected a text that contains "moon"'],
        ),
        ({"expected_text": r"^Version: 1\.", "text_match": "regex"}, answer("Version: 1.0"), []),
        (
            {"expected_text": "^V$", "text_match": "regex"},
            answer("W"),
            ['answered "W", expected a text that matches the regular expression "^V$"'],
        ),
        ({"statuses": (200, 404)}, answer("no", status=404), []),
        (
            {},
            answer("Traceback\nmore", status=500),
            ["answered 500 Internal Server Error: Traceback"],
        ),
        ({}, answer("", status=404), ["answered 404 Not Found without a body"]),
        (
            {"statuses": (201, 202)},
            answer("[1]"),
            ["answered 200 OK: [1]; expected 201 or 202"],
        ),
        (
            {},
            answer("", status=302, location="https://elsewhere/"),
            ["answered 302 Found to https://elsewhere/ (redirects are not followed)"],
        ),
        ({}, answer("x", status=799), ["answered 799: x"]),
        (
            NUMBERS,
            answer("xxxx", complete=False),
            ["answered more than the 4 bytes that max_bytes allows"],
        ),
    ],
)
def test_judge(fields, given, problems):
    verdict = judge(Check(GET, **fields), given, Policy(), NOW)
    assert [words for _, words in verdict.problems] == problems
    assert not verdict.heals


@pytest.mark.parametrize(
    ("status", "heals"),
    [(429, True), (502, True), (503, True), (504, True), (500, False), (404, False), (302, False)],
)
def test_statuses_that_heal(status, heals):
    assert judge(Check(GET), answer(status=status), Policy(), NOW).heals is heals
    assert not judge(Check(GET), answer(status=status), Policy(retry_statuses=()), NOW).heals


def test_an_expected_status_is_no_failure():
    assert not judge(Check(GET, (503,)), answer("x", status=503), Policy(), NOW).problems


# Retries


@pytest.mark.parametrize(
    ("retry", "jitter", "delay"),
    [
        (0, 0.0, 0.25),
        (1, 0.0, 0.5),
        (4, 0.0, 4.0),
        (5, 0.0, 5.0),
        (9999, 0.0, 5.0),
        (0, 1.0, 0.125),
        (5, 0.5, 3.75),
    ],
)
def test_back_off(retry, jitter, delay):
    assert back_off(retry, Policy(), jitter) == delay


@pytest.mark.parametrize(
    ("verdict", "retry", "policy", "left", "wait"),
    [
        (Verdict(heals=False), 0, Policy(), 60.0, None),
        (Verdict(heals=True), 0, Policy(), 60.0, 0.25),
        (Verdict(heals=True), 2, Policy(retries=3), 60.0, 1.0),
        (Verdict(heals=True), 3, Policy(retries=3), 60.0, None),
        (Verdict(heals=True), 0, Policy(retries=0), 60.0, None),
        (Verdict(heals=True), 5, Policy(), 3.0, 2.0),
        (Verdict(heals=True), 5, Policy(), 1.0, None),
        (Verdict(heals=True), 5, Policy(), -1.0, None),
        (Verdict(heals=True), 0, Policy(timeout=0.1), 0.2, 0.1),
        (Verdict(heals=True), 0, Policy(deadline=2.0), 0.4, 0.2),
        (Verdict(heals=True, wait=30.0), 0, Policy(), 60.0, 30.0),
        (Verdict(heals=True, wait=59.5), 0, Policy(), 60.0, None),
        (Verdict(heals=True, wait=0.0), 0, Policy(), 60.0, 0.25),
    ],
)
def test_next_wait(verdict, retry, policy, left, wait):
    found = next_wait(verdict, retry, policy, left, 0.0)
    assert found == (None if wait is None else pytest.approx(wait))


def test_first_answer_is_right():
    result, clock, client = run(Check(GET, **NUMBERS), answer("[199.65]", content_type="text/html"))
    assert result == {
        "url": BASE + "/",
        "method": "GET",
        "command": f"curl {BASE}/",
        "status": 200,
        "content_type": "text/html",
        "body": "[199.65]",
        "value": [199.65],
        "samples": 1,
        "latencies": {"min": 2.0, "p50": 2.0, "p99": 2.0, "max": 2.0},
        "attempts": 1,
        "healed": [],
        "kind": "",
        "problems": [],
    }
    assert clock.slept == []
    assert client.timeouts == [10.0]


def test_failures_that_heal_are_retried():
    result, clock, _ = run(
        Check(GET, **NUMBERS), REFUSED, REFUSED, answer("starting", status=503), answer()
    )
    assert result["problems"] == []
    assert result["attempts"] == 4
    assert result["healed"] == [
        "nothing listens at 127.0.0.1:9000 (2 times)",
        "answered 503 Service Unavailable: starting (once)",
    ]
    assert sentence(result) == (
        f"{BASE}/ answered [199.6] in 2 ms, after nothing listens at 127.0.0.1:9000 (2 times), "
        "answered 503 Service Unavailable: starting (once)"
    )
    assert clock.slept == [0.25, 0.5, 1.0]
    assert result["latencies"]["max"] == 2.0


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (answer("[1]"), "value"),
        (answer(status=404), "status"),
        (answer(status=500), "status"),
        (UNKNOWN, "name_unknown"),
        (RequestFailedError("certificate", "refused", heals=False), "certificate"),
    ],
)
def test_other_failures_are_final(event, kind):
    result, clock, client = run(Check(GET, **NUMBERS), event)
    assert result["kind"] == kind
    assert result["attempts"] == len(client.questions) == 1
    assert clock.slept == []


def test_retry_after_is_honoured():
    busy = answer("busy", status=429, retry_after="7")
    result, clock, _ = run(Check(GET), busy, answer())
    assert (result["problems"], clock.slept) == ([], [7.0])


def test_retry_after_beyond_the_deadline_ends_at_once():
    busy = answer("busy", status=503, retry_after="3600")
    result, clock, _ = run(Check(GET), busy)
    assert clock.slept == []
    assert result["problems"] == [
        "answered 503 Service Unavailable: busy; it asks to wait 3600 s, which is past the deadline"
    ]


@pytest.mark.parametrize("event", [REFUSED, TIMED_OUT, answer("x", status=503, seconds=3.0)])
@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_the_deadline_ends_it(event, jitter):
    result, clock, client = run(Check(GET), event, jitter=jitter)
    assert 100 < clock.now <= 160
    assert all(timeout <= 10 for timeout in client.timeouts)
    (words,) = result["problems"]
    assert f"(tried {result['attempts']} times, " in words
    # The last try came shortly before the end.
    assert clock.now > 155


def test_the_last_request_gets_the_time_that_is_left():
    _, clock, client = run(Check(GET), TIMED_OUT, policy=Policy(timeout=25.0, retry_delay=1.0))
    assert client.timeouts[:2] == [25.0, 25.0]
    assert client.timeouts[-1] < 25
    assert clock.now == pytest.approx(160.0)


def test_retries_are_counted_for_each_request():
    policy = Policy(retries=1)
    check = Check(GET, samples=2)
    result, _, _ = run(check, REFUSED, answer(), REFUSED, answer(), policy=policy)
    assert (result["problems"], result["attempts"]) == ([], 4)
    result, _, _ = run(check, REFUSED, answer(), REFUSED, REFUSED, policy=policy)
    assert result["problems"] == [
        "nothing listens at 127.0.0.1:9000 (tried 2 times, 0.502 s after the start)"
    ]


# Samples


def test_samples_and_their_percentiles():
    events = [answer(seconds=n / 1000) for n in range(1, 101)]
    result, _, client = run(Check(GET, samples=100), *events)
    assert result["latencies"] == {"min": 1.0, "p50": 50.0, "p99": 99.0, "max": 100.0}
    assert result["samples"] == len(client.questions) == 100


def test_every_sample_is_judged():
    result, _, client = run(Check(GET, samples=10, **NUMBERS), answer(), answer(), answer("[1]"))
    assert result["kind"] == "value"
    assert (result["samples"], len(client.questions)) == (2, 3)


@pytest.mark.parametrize(
    ("bounds", "problems"),
    [
        ({"latency_p50": 10.0, "latency_p99": 20.0}, []),
        (
            {"latency_p50": 9.0},
            [
                "answered too slowly: p50 of 4 samples is 10 ms, at most 9 ms are allowed",
            ],
        ),
        (
            {"latency_p50": 5.0, "latency_p99": 19.5},
            [
                "answered too slowly: p50 of 4 samples is 10 ms, at most 5 ms are allowed",
                "answered too slowly: p99 of 4 samples is 20 ms, at most 19.5 ms are allowed",
            ],
        ),
    ],
)
def test_latency_bounds(bounds, problems):
    events = [answer(seconds=seconds) for seconds in (0.02, 0.01, 0.01, 0.02)]
    result, _, _ = run(Check(GET, samples=4, **bounds), *events)
    assert result["problems"] == problems
    assert result["kind"] == ("latency" if problems else "")


def test_samples_that_do_not_fit_into_the_deadline():
    result, clock, _ = run(Check(GET, samples=100), answer(seconds=4.0))
    assert result["problems"] == ["answered 15 of 100 samples before the deadline of 60 s"]
    assert clock.now == 160


# Several checks


def test_checks_share_the_deadline():
    clock = FakeClock()
    client = Script(clock, TIMED_OUT)
    checker = Checker(client, Policy(), clock, lambda: 0.0)
    first, second = checker.run(Check(GET)), checker.run(Check(GET))
    assert first["kind"] == "timed_out"
    assert second["problems"] == ["was not asked before the deadline of 60 s"]
    assert (second["attempts"], second["status"], second["latencies"]) == (0, None, None)


def test_what_is_left_is_too_little_for_an_answer():
    result, _, client = run(Check(GET, samples=8), answer(seconds=9.93))
    assert result["problems"] == ["answered 6 of 8 samples before the deadline of 60 s"]
    assert len(client.questions) == 6


def test_a_hopeless_address_is_asked_once():
    clock = FakeClock()
    client = Script(clock, UNKNOWN)
    checker = Checker(client, Policy(), clock, lambda: 0.0)
    results = [checker.run(Check(GET)) for _ in range(3)]
    assert [result["kind"] for result in results] == ["name_unknown", "not_asked", "not_asked"]
    assert len(client.questions) == 1
    assert summarize(results)["msg"] == f"{BASE}/: the name is unknown"
    assert len(summarize(results)["summary"]) == 3
    assert "was not asked" in summarize(results[1:])["msg"]


def test_a_wrong_answer_does_not_stop_the_others():
    clock = FakeClock()
    client = Script(clock, answer("[1]"), answer("[2]"), answer())
    checker = Checker(client, Policy(), clock, lambda: 0.0)
    results = [checker.run(Check(GET, **NUMBERS)) for _ in range(3)]
    summary = summarize(results)
    assert summary["failed"]
    assert summary["msg"].count("expected [199.6] ± 0.1") == 2
    assert "; " in summary["msg"]


def test_summary_when_all_is_well():
    result, _, _ = run(Check(GET, samples=2), answer(), answer(seconds=0.003))
    assert summarize([result]) == {
        "checks": [result],
        "summary": [f"{BASE}/ answered [199.6] in p50 2 ms, p99 3 ms of 2 requests"],
        "failed": False,
        "msg": "1 of 1 checks passed",
    }


def test_sentence_names_the_method_and_joins_problems():
    check = read_check(
        BASE, {"path": "/p", "body": [1], "content_type": "text/plain", "expected": 2}, {}, 1
    )
    result, _, _ = run(check, answer("1"))
    assert sentence(result) == (
        f"POST {BASE}/p: answered the content type none, expected text/plain, "
        "and answered 1, expected 2"
    )


def test_system_clock():
    clock = SystemClock()
    before = clock.monotonic()
    clock.sleep(0)
    assert clock.monotonic() >= before
    assert clock.time() > 1_700_000_000
