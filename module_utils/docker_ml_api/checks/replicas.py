"""Queries every replica of a workload, and compares the answers.

A load balancer's address is queried on new connections until each ready pod has
answered; a header of the answer identifies its pod. If there is no address or no such header, each
pod is queried individually, by port-forward.

This module does not access the cluster: the pods, the clients and the hints are passed in. Times
are in seconds, latencies in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from ansible.module_utils.docker_ml_api.checks.http import (
    Answer,
    Client,
    Question,
    RequestFailedError,
)
from ansible.module_utils.docker_ml_api.checks.runner import (
    Check,
    Checker,
    Clock,
    Policy,
    back_off,
    curl,
    figures,
    judge_latencies,
)
from ansible.module_utils.docker_ml_api.checks.values import (
    difference,
    one_line,
    shorten,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Object = dict[str, Any]

ADDRESS = "address"
FORWARD = "port-forward"

# The kubelet truncates a pod's host name to this length.
HOST_NAME_LIMIT = 63
# Kinds of problems of an answer; any other kind means that there was no answer.
ANSWERED = ("status", "too_large", "content_type", "value", "text")
# Requests without a new pod before the pods are read again and a pause is made. With n pods that
# are selected at random, the probability of missing one in so many requests is below one percent.
PATIENCE = 10
PATIENCE_PER_POD = 5
# After so many answers that name no pod of ours, the header has another meaning in this app.
STRANGERS = 3
# Replicas on different processors may differ in the last digits.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Replica:
    """A pod: its name, the name in its answers, its state.

    trouble: restarts of its containers, or that it is not ours, as text; empty if there is none.
    """

    name: str
    instance: str
    ready: bool
    leaving: bool
    trouble: str = ""


def read_replica(pod: Mapping[str, Any], labels: Mapping[str, str]) -> Replica:
    """Return a pod from the API's JSON; without the labels it is not ours."""
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    status = pod.get("status") or {}
    conditions = {
        condition["type"]: condition["status"] for condition in status.get("conditions") or []
    }
    leaving = bool(metadata.get("deletionTimestamp")) or status.get("phase") in (
        "Succeeded",
        "Failed",
    )
    trouble = _trouble(status.get("containerStatuses") or [])
    own = metadata.get("labels") or {}
    lacking = [name for name, value in sorted(labels.items()) if own.get(name) != value]
    if lacking:
        foreign = (
            f"it is not ours, for it lacks the label {', '.join(lacking)}, but app={own.get('app')}"
            " leads the Service to it"
        )
        trouble = f"{foreign}, {trouble}" if trouble else foreign
    host = spec.get("hostname") or metadata["name"]
    return Replica(
        name=metadata["name"],
        instance=host[:HOST_NAME_LIMIT].rstrip("-."),
        ready=conditions.get("Ready") == "True" and not leaving,
        leaving=leaving,
        trouble=trouble,
    )


def _trouble(statuses: Iterable[Mapping[str, Any]]) -> str:
    told = []
    for status in statuses:
        count = status.get("restartCount") or 0
        if not count:
            continue
        ended = (status.get("lastState") or {}).get("terminated") or {}
        why = f", last with exit code {ended['exitCode']}" if "exitCode" in ended else ""
        if ended.get("reason"):
            why += f" ({ended['reason']})"
        told.append(f"container {status.get('name')} was restarted {_times(count)}{why}")
    return ", ".join(told)


class Roster:
    """The pods of one workload, which are read again in case of doubt."""

    def __init__(
        self,
        pods: Iterable[Mapping[str, Any]],
        read: Callable[[], list[Object]],
        labels: Mapping[str, str],
    ) -> None:
        """Start with the given pods; `read` reads them again. labels: those of our pods."""
        self._read = read
        self._labels = labels
        self._ever: dict[str, Replica] = {}
        self._required: dict[str, Replica] = {}
        self.ending = False
        """Whether a pod was being deleted when the pods were last read."""
        self._take(pods)

    def refresh(self) -> None:
        """Read the pods again."""
        self._take(self._read())

    def _take(self, pods: Iterable[Mapping[str, Any]]) -> None:
        found = list(pods)
        self.ending = any(pod["metadata"].get("deletionTimestamp") for pod in found)
        replicas = [read_replica(pod, self._labels) for pod in found]
        current = {replica.name: replica for replica in replicas}
        for instance, replica in self._ever.items():
            if replica.name not in current:
                self._ever[instance] = replace(replica, leaving=True, ready=False)
        self._ever |= {replica.instance: replica for replica in current.values()}
        # A pod that was ready has to answer, even if the request made it fail. A pod that
        # terminates or was deleted does not, since rollouts and autoscalers delete pods.
        self._required = {
            name: replica
            for name, replica in current.items()
            if not replica.leaving and (replica.ready or name in self._required)
        }

    def required(self) -> list[str]:
        """Return the names of the pods that have to answer."""
        return sorted(self._required)

    def replica(self, name: str) -> Replica | None:
        """Return the pod of that name if it has to answer, or None."""
        return self._required.get(name)

    def who(self, instance: str) -> Replica | None:
        """Return the current or former pod with that name in its answers, or None."""
        return self._ever.get(instance)


@dataclass
class Told:
    """The answers of one pod to one check; `problem` describes the first wrong one."""

    count: int = 0
    value: Any = None
    body: str = ""
    problem: str = ""
    kind: str = ""


@dataclass
class Board:
    """The state of one check of a workload."""

    check: Check
    by: str
    pods: dict[str, Told] = field(default_factory=dict)
    # Answers that name no known pod; without any name the key is empty.
    strangers: dict[str, Told] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    requests: int = 0
    healed: dict[str, int] = field(default_factory=dict)
    # Wrong answers that may be from a terminating pod.
    doubts: int = 0
    silent: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    # Why it was not made at all, as a consequence of an earlier problem.
    not_asked: str = ""

    def wrong(self) -> bool:
        """Return whether the check has already failed."""
        return bool(self.problems) or any(told.problem for told in self.pods.values())

    def note(self, result: Mapping[str, Any]) -> None:
        """Add the requests and the retried failures in a result of the Checker."""
        self.requests += result["attempts"]
        for words in result["healed"]:
            what, _, times = words.rpartition(" (")
            count = 1 if times.startswith("once") else int(times.partition(" ")[0])
            self.healed[what] = self.healed.get(what, 0) + count

    def told_healed(self) -> list[str]:
        """Return the retried failures as text, with their number."""
        return [f"{words} ({_times(count)})" for words, count in self.healed.items()]


@dataclass(frozen=True)
class Target:
    """A workload to check; `url` is empty if it is queried by port-forward.

    The checks' URLs are below `url`, or else below the address of the user's own port-forward,
    which forward_command starts.
    """

    name: str
    namespace: str
    url: str
    checks: tuple[Check, ...]
    forward_command: str


class Surroundings(Protocol):
    """Provides what the check of one workload needs to know about the cluster."""

    def forward(self, pod: str) -> Client:
        """Return a client that sends requests to this pod."""

    def elsewhere(self, instance: str) -> str:
        """Return the other workload that a pod of that name belongs to; empty if there is none."""

    def hint(self, replica: Replica) -> str:
        """Return why a ready pod may not be reachable through the address, as text."""


class _Recorder:
    """A Client that stores the last answer, whose headers identify its pod."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.last: Answer | None = None

    def __call__(self, question: Question, timeout: float) -> Answer:
        self.last = None
        self.last = self._client(question, timeout)
        return self.last


class Interview:
    """Queries the replicas of one workload, with one deadline."""

    def __init__(
        self,
        target: Target,
        roster: Roster,
        surroundings: Surroundings,
        *,
        client: Client,
        policy: Policy,
        clock: Clock,
        jitter: Callable[[], float],
        header: str,
    ) -> None:
        """Start the deadline; `header` is the header that names the pod in answers."""
        self._target = target
        self._roster = roster
        self._surroundings = surroundings
        self._client = client
        self._policy = policy
        self._clock = clock
        self._jitter = jitter
        self._header = header
        self._start = clock.monotonic()
        self._problems: list[str] = []

    def run(self) -> dict[str, Any]:
        """Return the result, as documented for the module's return value `workloads`.

        It also has `problems`, sentences without the workload's name.
        """
        boards: list[Board] = []
        if self._await_replicas():
            if self._target.url:
                boards = self._by_address()
            else:
                boards = [Board(check, FORWARD) for check in self._target.checks]
            self._by_forward([board for board in boards if board.by == FORWARD])
            if any(board.silent for board in boards):
                # Pods that terminated in the meantime need not answer.
                self._roster.refresh()
            for board in boards:
                self._problems += self._judge(board)
            if not self._problems:
                self._problems += [self._not_asked(board) for board in boards if board.not_asked]
        return self._result(boards)

    def _not_asked(self, board: Board) -> str:
        return f"{board.check.question.url} {board.not_asked}"

    def _left(self) -> float:
        passed: float = self._clock.monotonic() - self._start
        return float(self._policy.deadline) - passed

    def _checker(self, client: Client) -> Checker:
        return Checker(client, self._policy, self._clock, self._jitter, self._start)

    def _pause(self, number: int) -> bool:
        """Wait longer with each pause; return whether there is time left afterwards."""
        delay = back_off(number, self._policy, self._jitter())
        if self._left() <= delay:
            return False
        self._clock.sleep(delay)
        return True

    def _await_replicas(self) -> bool:
        """Wait for a ready pod; return whether there is one before the deadline."""
        number = 0
        while not self._roster.required():
            if not self._pause(number):
                self._problems.append(
                    f"has no ready pod to ask, for {self._policy.deadline:g} s: 'kubectl "
                    f"--namespace {self._target.namespace} get pods --selector "
                    f"app={self._target.name}' shows them"
                )
                return False
            number += 1
            self._roster.refresh()
        return True

    # By the address

    def _by_address(self) -> list[Board]:
        recorder = _Recorder(self._client)
        checker = self._checker(recorder)
        boards = []
        for check in self._target.checks:
            board = Board(check, ADDRESS)
            boards.append(board)
            self._ask_address(board, checker, recorder)
        return boards

    def _ask_address(self, board: Board, checker: Checker, recorder: _Recorder) -> None:
        """Send the requests of one check until every pod has answered it."""
        once = replace(board.check, samples=1, latency_p50=None, latency_p99=None)
        idle = pauses = 0
        while True:
            silent = self._silent(board)
            if not silent and (len(board.latencies) >= board.check.samples or board.wrong()):
                return
            if silent and idle >= PATIENCE + PATIENCE_PER_POD * len(self._roster.required()):
                if board.wrong():
                    return
                if not self._pause(pauses):
                    board.silent = silent
                    return
                self._roster.refresh()
                idle, pauses = 0, pauses + 1
                continue
            result = checker.run(once)
            board.note(result)
            if recorder.last is None or (result["problems"] and result["kind"] not in ANSWERED):
                self._no_answer(board, result)
                return
            if not result["problems"]:
                board.latencies.append(result["latencies"]["max"])
            idle = 0 if self._take(board, recorder.last, result) else idle + 1
            if board.by == FORWARD or board.problems:
                return

    def _no_answer(self, board: Board, result: Mapping[str, Any]) -> None:
        """Record why a check got no answer: no server, or the deadline."""
        if result["kind"] != "not_asked":
            board.problems += result["problems"]
        elif board.pods:
            board.silent = self._silent(board)
            if not board.silent:
                board.problems.append(
                    f"gave {len(board.latencies)} of {board.check.samples} right answers before "
                    f"the deadline of {self._policy.deadline:g} s"
                )
        else:
            board.not_asked = result["problems"][0]

    def _silent(self, board: Board) -> list[str]:
        return [name for name in self._roster.required() if name not in board.pods]

    def _take(self, board: Board, answer: Answer, result: Mapping[str, Any]) -> bool:
        """Attribute an answer to its pod; return whether the pod is new."""
        instance = answer.headers.get(self._header.lower(), "").strip()
        replica = self._roster.who(instance) if instance else None
        if instance and replica is None and instance not in board.strangers:
            self._roster.refresh()
            replica = self._roster.who(instance)
        if replica is None:
            return self._take_stranger(board, instance, result)
        known = board.pods.get(replica.name)
        if result["problems"] and not (known and known.problem):
            # Wrong answers of a terminating pod are ignored, as the Service is about to remove it.
            self._roster.refresh()
            replica = self._roster.who(instance) or replica
        if replica.leaving:
            return False
        _tell(board.pods.setdefault(replica.name, Told()), result)
        return known is None

    def _take_stranger(self, board: Board, instance: str, result: Mapping[str, Any]) -> bool:
        other = self._surroundings.elsewhere(instance) if instance else ""
        if other:
            board.problems.append(
                f"answered by pod {instance} of workload {other}: the address belongs to another "
                "Service by now; run again"
            )
            return True
        if result["problems"]:
            # Wrong answers of a terminating pod are ignored, and this may be one.
            ended = self._roster.ending
            self._roster.refresh()
            if (ended or self._roster.ending) and self._pause(board.doubts):
                board.doubts += 1
                return True
        told = board.strangers.setdefault(instance, Told())
        _tell(told, result)
        if board.pods:
            return False
        count = sum(told.count for told in board.strangers.values())
        if told.problem or count >= max(STRANGERS if instance else 1, board.check.samples):
            board.by = FORWARD
        return True

    # By port-forward

    def _by_forward(self, boards: Sequence[Board]) -> None:
        """Query each pod individually for the checks of the boards."""
        if not boards:
            return
        asked: set[str] = set()
        while True:
            waiting = [name for name in self._roster.required() if name not in asked]
            if not waiting:
                return
            name = waiting[0]
            asked.add(name)
            told = self._ask_pod(name, boards)
            if any(one.problem for one in told):
                self._roster.refresh()
                if name not in self._roster.required():
                    continue
            for board, one in zip(boards, told, strict=True):
                board.pods[name] = one

    def _ask_pod(self, name: str, boards: Sequence[Board]) -> list[Told]:
        """Return the answers of one pod to each board's check."""
        checker = self._checker(self._surroundings.forward(name))
        count = max(len(self._roster.required()), 1)
        answers = []
        for board in boards:
            samples = -(-board.check.samples // count)
            # Latency limits do not apply to requests through the API server.
            check = replace(board.check, samples=samples, latency_p50=None, latency_p99=None)
            result = checker.run(check)
            told = Told()
            _tell(told, result)
            told.count = result["samples"] + (1 if result["problems"] else 0)
            board.note(result)
            # Latencies through the address take precedence over those through the API server.
            if result["latencies"] and not self._target.url:
                board.latencies.append(result["latencies"]["p50"])
            answers.append(told)
        return answers

    # The evaluation

    def _judge(self, board: Board) -> list[str]:
        """Return the problems of a check's answers, as sentences."""
        url = board.check.question.url
        where = f"{url}: "
        problems = [where + words for words in board.problems]
        if board.by == FORWARD:
            problems += [where + told.problem for told in board.strangers.values() if told.problem]
        by_words: dict[str, list[str]] = {}
        for name in sorted(board.pods):
            told = board.pods[name]
            if told.kind == "not_asked":
                board.not_asked = told.problem
            elif told.problem:
                by_words.setdefault(told.problem, []).append(name)
        asked = f"{url}, asked by port-forward: " if board.by == FORWARD else where
        for words, names in by_words.items():
            said = words if words.startswith("answered ") else f"could not be asked: {words}"
            trouble = self._troubles(names)
            problems.append(f"{asked}{_pods(names)} {said}{trouble}")
        differing = self._differing(board)
        if differing:
            problems.append(asked + differing)
        silent = [replica for name in board.silent if (replica := self._roster.replica(name))]
        if silent:
            problems.append(where + self._never_answered(board, silent))
        if not (problems or board.pods or board.not_asked):
            problems.append(f"{where}its pods went away while they were asked: run again")
        if not problems and self._target.url and board.latencies:
            problems += [
                where + words for _, words in judge_latencies(board.check, board.latencies)
            ]
        return problems

    def _troubles(self, names: Sequence[str]) -> str:
        told = {
            replica.trouble
            for replica in map(self._roster.replica, names)
            if replica is not None and replica.trouble
        }
        return f" ({'; '.join(sorted(told))})" if told else ""

    def _never_answered(self, board: Board, silent: Sequence[Replica]) -> str:
        heard = [f"{name} {_times(told.count)}" for name, told in sorted(board.pods.items())]
        names = [replica.name for replica in silent]
        words = f"{_pods(names)} never answered in {board.requests} requests"
        words += f" ({', '.join([*heard, *board.told_healed()])})"
        if not silent[0].ready:
            return f"{words}: it is not ready any more{self._troubles(names[:1])}"
        hint = self._surroundings.hint(silent[0])
        return f"{words}: {hint}" if hint else words

    def _differing(self, board: Board) -> str:
        """Return how the correct answers of two pods differ, as text; empty if they all agree.

        A text is only compared with the expected text. Its other parts, such as the pod's
        name, may differ.
        """
        check = board.check
        if check.expected_text is not None:
            return ""
        right = [(name, board.pods[name]) for name in sorted(board.pods)]
        right = [(name, told) for name, told in right if told.count and not told.problem]
        if len(right) < 2:  # noqa: PLR2004 - a pair
            return ""
        first, reference = right[0]
        for name, told in right[1:]:
            wrong = difference(
                told.value,
                reference.value,
                check.tolerance,
                max(check.relative_tolerance, ROUNDING),
            )
            if wrong:
                return (
                    f"the pods do not predict the same: {first} answered "
                    f"{shorten(reference.value)}, {name} answered {shorten(told.value)}"
                )
        return ""

    # The result

    def _result(self, boards: Sequence[Board]) -> dict[str, Any]:
        target = self._target
        direct = any(board.by == FORWARD for board in boards) or not target.url
        answered: dict[str, dict[str, Any]] = {}
        for board in boards:
            for name, told in sorted(board.pods.items()):
                entry = answered.setdefault(name, {"count": 0, "answers": {}})
                entry["count"] += told.count
                entry["answers"][board.check.question.url] = (
                    told.body if told.value is None else told.value
                )
        commands = [curl(check.question) for check in target.checks]
        if not target.url:
            commands.insert(0, target.forward_command)
        return {
            "name": target.name,
            "namespace": target.namespace,
            "url": target.url,
            "via": ADDRESS if target.url else FORWARD,
            "by": FORWARD if direct else "header",
            "answered": answered,
            "checks": [_board_result(board) for board in boards],
            "summary": [self._summary(board) for board in boards],
            "try": commands,
            "problems": self._problems,
        }

    def _summary(self, board: Board) -> str:
        url = board.check.question.url
        bodies = [told.body for _, told in sorted(board.pods.items()) if not told.problem]
        bodies += [told.body for told in board.strangers.values() if not told.problem]
        if not bodies:
            return f"{url} gave no right answer"
        names = sorted(name for name, told in board.pods.items() if not told.problem)
        times = figures(board.latencies)
        took = f" in {times['p50']:.3g} ms" if times else ""
        how = ""
        if board.by == FORWARD:
            how = ", each asked by port-forward"
            if self._target.url:
                how += f", since the answers carry no {self._header} of theirs"
            if not self._target.url and (board.check.latency_p50 or board.check.latency_p99):
                how += "; the latency was not judged"
        healed = f", after {', '.join(board.told_healed())}" if board.healed else ""
        return f"{url} answered {one_line(bodies[0])} by {_pods(names)}{took}{how}{healed}"


def _board_result(board: Board) -> dict[str, Any]:
    values = [told for _, told in sorted(board.pods.items()) if not told.problem]
    return {
        "url": board.check.question.url,
        "method": board.check.question.method,
        "by": board.by,
        "value": values[0].value if values else None,
        "body": values[0].body if values else None,
        "pods": sorted(name for name, told in board.pods.items() if not told.problem),
        "requests": board.requests,
        "latencies": figures(board.latencies),
        "healed": board.told_healed(),
    }


def _tell(told: Told, result: Mapping[str, Any]) -> None:
    """Add a result of the Checker; the first problem is kept."""
    told.count += 1
    if told.problem:
        return
    told.value, told.body = result["value"], result["body"] or ""
    if result["problems"]:
        told.problem, told.kind = ", and ".join(result["problems"]), result["kind"]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _pods(names: Sequence[str]) -> str:
    if not names:
        return "no pod"
    return f"pod{'s' if len(names) > 1 else ''} {', '.join(names)}"


def explain_silence(
    replica: Replica,
    service: Mapping[str, Any] | None,
    slices: Iterable[Mapping[str, Any]],
    policies: Iterable[Mapping[str, Any]],
    direct: str,
) -> str:
    """Return why a ready pod may not be reachable through its Service, as text.

    slices: the Service's EndpointSlices.
    policies: the NetworkPolicies that select the pod.
    direct: the result of querying the pod directly.
    """
    if service is None:
        return "its Service is gone"
    name = service["metadata"]["name"]
    reasons = []
    if (service.get("spec") or {}).get("sessionAffinity") == "ClientIP":
        reasons.append(
            f"Service {name} has sessionAffinity ClientIP, which leads one client to one pod: "
            "set it to None"
        )
    listed = {
        (endpoint.get("targetRef") or {}).get("name")
        for slice_ in slices
        for endpoint in slice_.get("endpoints") or []
        if (endpoint.get("conditions") or {}).get("ready") is not False
    }
    if replica.name not in listed:
        reasons.append(
            f"Service {name} does not list it among its ready endpoints: compare its selector "
            "and targetPort with the pod"
        )
    names = sorted(policy["metadata"]["name"] for policy in policies)
    if names:
        reasons.append(f"NetworkPolicy {', '.join(names)} may keep the load balancer's way shut")
    if direct:
        reasons.append(direct)
    return "; ".join(reasons)


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Return whether a label selector of the API selects these labels; empty selects all."""
    selector = selector or {}
    for name, value in (selector.get("matchLabels") or {}).items():
        if labels.get(name) != value:
            return False
    for rule in selector.get("matchExpressions") or []:
        have, values = labels.get(rule["key"]), rule.get("values") or []
        fits = {
            "In": have is not None and have in values,
            "NotIn": have is None or have not in values,
            "Exists": have is not None,
            "DoesNotExist": have is None,
        }
        if not fits.get(rule["operator"], False):
            return False
    return True


def ask_directly(client: Client, check: Check, timeout: float) -> str:
    """Query one pod directly and return the result as text."""
    try:
        answer = client(check.question, timeout)
    except RequestFailedError as error:
        return f"asked by port-forward it does not answer either: {error}"
    return f"asked by port-forward it answers with status {answer.status}"
