"""Prediction checks: the requests, their number, and the expected answers.

Pure logic: the clock, the jitter and the client that sends requests are passed in.
Times are in seconds, latencies in milliseconds.
"""

from __future__ import annotations

import email.message
import email.utils
import http
import json
import math
import re
import shlex
import time
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ansible.module_utils.docker_ml_api.checks.http import (
    Answer,
    Client,
    Question,
    RequestFailedError,
)
from ansible.module_utils.docker_ml_api.checks.values import (
    UnreadableValueError,
    difference,
    one_line,
    percentile,
    read_value,
    shorten,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

OK = 200
# The values of `text_match`, with their description of an expected text.
TEXT_MATCHES = {
    "equal": "",
    "prefix": "a text that begins with ",
    "contains": "a text that contains ",
    "regex": "a text that matches the regular expression ",
}
# Maximum length of a returned body.
BODY_LIMIT = 500
# After one of these problems, the other checks at the same address would fail as well.
HOPELESS = (
    *("nothing_listens", "name_unknown", "certificate", "tls", "not_http", "invalid"),
    *("gone", "forbidden"),  # for a pod that is queried by port-forward
)
# Seconds that are reserved for the last attempt before the deadline.
LAST_TRY = 1.0


class Clock(Protocol):
    """A clock."""

    def monotonic(self) -> float:
        """Return monotonic seconds."""

    def time(self) -> float:
        """Return seconds since 1970."""

    def sleep(self, seconds: float) -> None:
        """Sleep."""


class SystemClock:
    """The clock of this machine."""

    def monotonic(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def time(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Check:
    """A request and its expected answer; see the module's option `checks`."""

    question: Question
    statuses: tuple[int, ...] = (OK,)
    content_type: str | None = None
    expected: Any = None
    tolerance: float = 0.0
    relative_tolerance: float = 0.0
    expected_text: str | None = None
    text_match: str = "equal"
    samples: int = 1
    latency_p50: float | None = None
    latency_p99: float | None = None


@dataclass(frozen=True)
class Policy:
    """How temporary failures are retried; see the module's options of these names."""

    timeout: float = 10.0
    deadline: float = 60.0
    retries: int | None = None
    retry_delay: float = 0.25
    retry_delay_max: float = 5.0
    retry_statuses: tuple[int, ...] = (429, 502, 503, 504)


@dataclass
class Verdict:
    """The evaluation of one answer: its value, and its problems (kind, words)."""

    value: Any = None
    problems: list[tuple[str, str]] = field(default_factory=list)
    heals: bool = False
    wait: float | None = None


def _check(condition: bool, sentence: str) -> None:
    if not condition:
        raise ValueError(sentence)


def join_url(base: str, path: str, query: Mapping[str, Any] | None) -> str:
    """Return the URL of a path below a base; `query` is encoded and added to the path's own.

    Raises ValueError with a sentence if the base is not a URL for requests.
    """
    try:
        parts = urllib.parse.urlsplit(base)
        port_ok = parts.port is None or parts.port > 0
    except ValueError as error:
        raise ValueError(f"url {base} is no URL: {error}") from None
    _check(
        parts.scheme in ("http", "https") and bool(parts.hostname) and port_ok,
        f"url must be http://HOST[:PORT] or https://HOST[:PORT], it is {base}",
    )
    _check(
        "@" not in parts.netloc, "url must hold no credentials: pass an Authorization in headers"
    )
    _check(
        not parts.query and not parts.fragment, f"url must end with a path, it is {base}: use query"
    )
    _check(path.startswith("/"), f"path must begin with a slash, it is {path}")
    url = base.rstrip("/") + urllib.parse.quote(path, safe="/?&=%:@+,;!$'()*~[]-._")
    if query:
        url += ("&" if "?" in path else "?") + urllib.parse.urlencode(query, doseq=True)
    return url


def read_check(
    base: str, params: Mapping[str, Any], headers: Mapping[str, Any], samples: int
) -> Check:
    """Return the check that an element of the module's option `checks` describes.

    Raises ValueError with a sentence that names the option.
    """
    url = join_url(base, params["path"], params.get("query"))
    body, method = params.get("body"), params.get("method")
    sent = {str(name): str(value) for name, value in headers.items()}
    content: bytes | None = None
    if body is not None:
        _check(method != "GET", f"{url}: a GET has no body; leave out method, or say POST")
        kind = "text/plain; charset=utf-8" if isinstance(body, str) else "application/json"
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        if "content-type" not in {name.lower() for name in sent}:
            sent["Content-Type"] = kind
    method = method or ("GET" if body is None else "POST")
    if method == "POST" and content is None:
        content = b""

    number = params.get("samples")
    check = Check(
        question=Question(method, url, sent, content),
        statuses=tuple(params.get("status") or (OK,)),
        content_type=params.get("content_type"),
        expected=params.get("expected"),
        tolerance=params.get("tolerance") or 0.0,
        relative_tolerance=params.get("relative_tolerance") or 0.0,
        expected_text=params.get("expected_text"),
        text_match=params.get("text_match") or "equal",
        samples=samples if number is None else number,
        latency_p50=params.get("latency_p50"),
        latency_p99=params.get("latency_p99"),
    )
    for name in ("tolerance", "relative_tolerance"):
        given = getattr(check, name)
        _check(
            given >= 0 and math.isfinite(given), f"{url}: {name} must be 0 or more, it is {given}"
        )
    for name in ("latency_p50", "latency_p99"):
        given = getattr(check, name)
        _check(given is None or given > 0, f"{url}: {name} must be above 0 ms, it is {given}")
    _check(check.samples > 0, f"{url}: samples must be 1 or more, it is {check.samples}")
    if check.text_match == "regex":
        try:
            re.compile(check.expected_text or "")
        except re.error as error:
            raise ValueError(f"{url}: expected_text is no regular expression: {error}") from None
    return check


def read_policy(params: Mapping[str, Any]) -> Policy:
    """Return the policy that the module's options define; raise ValueError if it is invalid."""
    policy = Policy(
        timeout=params["timeout"],
        deadline=params["deadline"],
        retries=params["retries"],
        retry_delay=params["retry_delay"],
        retry_delay_max=params["retry_delay_max"],
        retry_statuses=tuple(params["retry_statuses"]),
    )
    for name in ("timeout", "deadline", "retry_delay", "retry_delay_max"):
        given = getattr(policy, name)
        _check(given > 0 and math.isfinite(given), f"{name} must be above 0 s, it is {given}")
    _check(
        policy.retries is None or policy.retries >= 0,
        f"retries must be 0 or more, it is {policy.retries}",
    )
    return policy


def media_type(content_type: str) -> tuple[str, str]:
    """Return the media type and the charset (default utf-8) of a Content-Type header."""
    message = email.message.Message()
    message["Content-Type"] = content_type
    # If the header is missing or invalid, the standard library returns text/plain.
    kind = content_type.partition(";")[0].strip().lower()
    return kind, message.get_content_charset() or "utf-8"


def decode(answer: Answer) -> str:
    """Return the text of an answer's body; invalid bytes are replaced by U+FFFD."""
    body: bytes = answer.body
    charset = media_type(answer.headers.get("content-type", ""))[1]
    try:
        return body.decode(charset, errors="replace")
    except (LookupError, ValueError):
        return body.decode(errors="replace")


def retry_after(answer: Answer, now: float) -> float | None:
    """Return the seconds to wait in a Retry-After header; `now` in seconds since 1970.

    None if the header is missing or invalid; never negative.
    """
    value = answer.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
    except (TypeError, ValueError):
        return None


def judge(check: Check, answer: Answer, policy: Policy, now: float) -> Verdict:
    """Return the evaluation of an answer, with all its problems as text."""
    if answer.status not in check.statuses:
        return _judge_status(check, answer, policy, now)
    verdict = Verdict()
    if not answer.complete:
        words = f"answered more than the {len(answer.body)} bytes that max_bytes allows"
        verdict.problems.append(("too_large", words))
        return verdict
    text = decode(answer)
    kind = media_type(answer.headers.get("content-type", ""))[0]
    if check.content_type is not None and kind != media_type(check.content_type)[0]:
        words = f"answered the content type {kind or 'none'}, expected {check.content_type}"
        verdict.problems.append(("content_type", words))
    try:
        verdict.value = read_value(text)
        unreadable = ""
    except UnreadableValueError as error:
        unreadable = str(error)
    if check.expected is not None:
        wrong = _judge_value(check, text, verdict.value, unreadable)
        if wrong:
            verdict.problems.append(("value", wrong))
    if check.expected_text is not None and not _text_matches(check, text):
        wanted = TEXT_MATCHES[check.text_match] + shorten(check.expected_text, 120)
        verdict.problems.append(("text", f"answered {shorten(text, 120)}, expected {wanted}"))
    return verdict


def _judge_status(check: Check, answer: Answer, policy: Policy, now: float) -> Verdict:
    try:
        phrase = f"{answer.status} {http.HTTPStatus(answer.status).phrase}"
    except ValueError:
        phrase = f"{answer.status} {answer.reason}".strip()
    words = f"answered {phrase}"
    location = answer.headers.get("location")
    if location:
        words += f" to {one_line(location, 200)} (redirects are not followed)"
    else:
        first = one_line(decode(answer), 120)
        words += f": {first}" if first else " without a body"
    if check.statuses != (OK,):
        words += f"; expected {' or '.join(str(status) for status in check.statuses)}"
    heals = answer.status in policy.retry_statuses
    wait = retry_after(answer, now) if heals else None
    return Verdict(problems=[("status", words)], heals=heals, wait=wait)


def _judge_value(check: Check, text: str, value: Any, unreadable: str) -> str:
    """Return as text why the value is not the expected one; empty if it is."""
    expected = shorten(check.expected)
    if check.tolerance:
        expected += f" ± {check.tolerance:g}"
    if check.relative_tolerance:
        expected += f" ± {check.relative_tolerance * 100:g} %"
    if unreadable:
        return f"answered {shorten(one_line(text))}, expected {expected}: {unreadable}"
    wrong: str = difference(value, check.expected, check.tolerance, check.relative_tolerance)
    if not wrong:
        return ""
    where = f" ({wrong})" if isinstance(check.expected, (list, dict)) else ""
    return f"answered {shorten(value)}, expected {expected}{where}"


def _text_matches(check: Check, text: str) -> bool:
    wanted = check.expected_text or ""
    text = text.replace("\r\n", "\n")
    if check.text_match == "prefix":
        return text.startswith(wanted)
    if check.text_match == "contains":
        return wanted in text
    if check.text_match == "regex":
        return re.search(wanted, text) is not None
    return text.rstrip("\n") == wanted.rstrip("\n")


def back_off(retry: int, policy: Policy, jitter: float) -> float:
    """Return the seconds before the retry of that number (from 0); `jitter` is from 0 to 1.

    The delay doubles with each retry up to a maximum. The jitter subtracts up to half of it,
    so that many checks do not send requests at the same time.
    """
    delay = min(policy.retry_delay_max, policy.retry_delay * 2.0 ** min(retry, 60))
    return delay * (1 - jitter / 2)


def _last_try(policy: Policy) -> float:
    """Return the seconds that are reserved for the last attempt before the deadline."""
    return min(LAST_TRY, policy.timeout, policy.deadline / 10)


def next_wait(
    verdict: Verdict, retry: int, policy: Policy, left: float, jitter: float
) -> float | None:
    """Return the seconds to wait before the next attempt, or None to give up.

    `left` is the time to the deadline. The delay in a Retry-After header is waited completely or
    not at all; a back-off is shortened to allow a last attempt before the deadline.
    """
    if not verdict.heals or (policy.retries is not None and retry >= policy.retries):
        return None
    latest = left - _last_try(policy)
    if verdict.wait is not None and verdict.wait > 0:
        return verdict.wait if verdict.wait <= latest else None
    return min(back_off(retry, policy, jitter), latest) if latest > 0 else None


def judge_latencies(check: Check, latencies: list[float]) -> list[tuple[str, str]]:
    """Compare latencies with the check's limits; return the problems (kind, words)."""
    problems = []
    for percent, limit in ((50, check.latency_p50), (99, check.latency_p99)):
        if limit is None:
            continue
        found = percentile(latencies, percent)
        if found > limit:
            words = (
                f"answered too slowly: p{percent} of {len(latencies)} samples is "
                f"{found:.3g} ms, at most {limit:g} ms are allowed"
            )
            problems.append(("latency", words))
    return problems


def figures(latencies: list[float]) -> dict[str, float] | None:
    """Return the statistics of latencies, as documented for the return value `latencies`."""
    if not latencies:
        return None
    return {
        "min": round(min(latencies), 3),
        "p50": round(percentile(latencies, 50), 3),
        "p99": round(percentile(latencies, 99), 3),
        "max": round(max(latencies), 3),
    }


def curl(question: Question) -> str:
    """Return the command for the same request by hand."""
    words = ["curl"]
    if question.body is not None:
        words += ["-X", question.method]
        for name, value in question.headers.items():
            if name.lower() == "content-type":
                words += ["-H", shlex.quote(f"{name}: {value}")]
        words += ["-d", shlex.quote(question.body.decode())]
    return " ".join([*words, shlex.quote(question.url)])


class Checker:
    """Runs checks one after the other, with a common deadline."""

    def __init__(
        self,
        client: Client,
        policy: Policy,
        clock: Clock,
        jitter: Callable[[], float],
        started: float | None = None,
    ) -> None:
        """Start the deadline now or at `started`; `jitter` returns numbers from 0 to 1."""
        self._client = client
        self._policy = policy
        self._clock = clock
        self._jitter = jitter
        self._end = (clock.monotonic() if started is None else started) + policy.deadline
        self._hopeless = ""

    def run(self, check: Check) -> dict[str, Any]:
        """Return the result of a check, as documented for the module's return value `checks`."""
        run = _Run(check)
        while len(run.latencies) < check.samples and not run.problems:
            left = self._end - self._clock.monotonic()
            # In less time there can be no answer, which would say nothing about the app.
            if self._hopeless or left <= _last_try(self._policy) / 2:
                run.problems.append(("not_asked", self._not_asked(run)))
                break
            self._ask(run, left)
        if not run.problems:
            run.problems += judge_latencies(check, run.latencies)
        if run.problems and run.problems[0][0] in HOPELESS:
            self._hopeless = run.problems[0][1]
        return run.result()

    def _not_asked(self, run: _Run) -> str:
        if self._hopeless:
            return "was not asked, since the check before it could not be made"
        done = len(run.latencies)
        if done:
            return (
                f"answered {done} of {run.check.samples} samples before the deadline of "
                f"{self._policy.deadline:g} s"
            )
        return f"was not asked before the deadline of {self._policy.deadline:g} s"

    def _ask(self, run: _Run, left: float) -> None:
        """Send one request; record its sample, or wait for a retry, or record its problems."""
        run.attempts += 1
        timeout = min(self._policy.timeout, left)
        try:
            answer = self._client(run.check.question, timeout)
        except RequestFailedError as error:
            verdict = Verdict(problems=[(error.kind, str(error))], heals=error.heals)
        else:
            verdict = judge(run.check, answer, self._policy, self._clock.time())
            run.answer, run.value = answer, verdict.value
            if not verdict.problems:
                run.latencies.append(answer.seconds * 1000)
                run.retry = 0
                return
        left = self._end - self._clock.monotonic()
        wait = next_wait(verdict, run.retry, self._policy, left, self._jitter())
        if wait is None:
            run.problems += self._last_words(run, verdict)
            return
        run.healed(verdict.problems[0][1])
        run.retry += 1
        self._clock.sleep(wait)

    def _last_words(self, run: _Run, verdict: Verdict) -> list[tuple[str, str]]:
        (kind, words), *others = verdict.problems
        if verdict.wait is not None and verdict.wait > 0:
            words += f"; it asks to wait {verdict.wait:g} s, which is past the deadline"
        if run.attempts > 1 and verdict.heals:
            passed = self._clock.monotonic() - self._end + self._policy.deadline
            words += f" (tried {run.retry + 1} times, {passed:.3g} s after the start)"
        return [(kind, words), *others]


class _Run:
    """The state of a running check."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self.answer: Answer | None = None
        self.value: Any = None
        self.latencies: list[float] = []
        self.attempts = 0
        self.retry = 0
        self.problems: list[tuple[str, str]] = []
        self._healed: dict[str, int] = {}

    def healed(self, words: str) -> None:
        """Count a failure that is retried."""
        self._healed[words] = self._healed.get(words, 0) + 1

    def result(self) -> dict[str, Any]:
        """Return the check's part of the module's return values."""
        question, answer = self.check.question, self.answer
        return {
            "url": question.url,
            "method": question.method,
            "command": curl(question),
            "status": answer.status if answer else None,
            "content_type": answer.headers.get("content-type") if answer else None,
            "body": decode(answer)[:BODY_LIMIT] if answer else None,
            "value": self.value,
            "samples": len(self.latencies),
            "latencies": figures(self.latencies),
            "attempts": self.attempts,
            "healed": [
                f"{words} ({'once' if count == 1 else f'{count} times'})"
                for words, count in self._healed.items()
            ],
            "kind": self.problems[0][0] if self.problems else "",
            "problems": [words for _, words in self.problems],
        }


def sentence(result: Mapping[str, Any]) -> str:
    """Return a line on a check's result, for users."""
    asked = ("" if result["method"] == "GET" else f"{result['method']} ") + result["url"]
    if result["problems"]:
        return f"{asked}: {', and '.join(result['problems'])}"
    times = result["latencies"]
    latency = f"{times['p50']:.3g} ms"
    if result["samples"] > 1:
        latency = f"p50 {latency}, p99 {times['p99']:.3g} ms of {result['samples']} requests"
    healed = f", after {', '.join(result['healed'])}" if result["healed"] else ""
    return f"{asked} answered {one_line(result['body'])} in {latency}{healed}"


def summarize(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the module's return values except `changed`; with `failed`, whether a check failed."""
    wrong = [result for result in results if result["problems"]]
    # Checks that were not made are a consequence of other problems, and reported only without any.
    told = [result for result in wrong if result["kind"] != "not_asked"] or wrong
    message = "; ".join(sentence(result) for result in told)
    return {
        "checks": list(results),
        "summary": [sentence(result) for result in results],
        "failed": bool(wrong),
        "msg": message or f"{len(results)} of {len(results)} checks passed",
    }
