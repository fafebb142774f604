import pytest
from ansible.module_utils.docker_ml_api.docker import health
from ansible.module_utils.docker_ml_api.docker.health import Health


def container(status="running", check=None, restarts=0, outputs=(), **state):
    health = {"Health": {"Status": check, "Log": [{"Output": text} for text in outputs]}}
    return {
        "RestartCount": restarts,
        "State": {"Status": status, "ExitCode": 0, **(health if check else {}), **state},
    }


# What: (container, restarts before, judgement)
JUDGEMENTS = {
    "runs, no check": (container(), 0, Health.RUNNING),
    "runs, check switched off": (container(check="none"), 0, Health.RUNNING),
    "healthy": (container(check="healthy"), 0, Health.HEALTHY),
    "starting": (container(check="starting"), 0, Health.STARTING),
    "unhealthy": (container(check="unhealthy"), 0, Health.FAILED),
    "created": (container("created"), 0, Health.STARTING),
    "restarting for the first time": (container("restarting", restarts=1), 0, Health.STARTING),
    "restarting again and again": (container("restarting", restarts=2), 0, Health.FAILED),
    "runs for the third time": (container(check="starting", restarts=2), 0, Health.FAILED),
    "restarted long ago": (container(check="starting", restarts=7), 7, Health.STARTING),
    "stopped": (container("exited"), 0, Health.FAILED),
    "paused": (container("paused", check="healthy"), 0, Health.FAILED),
}


@pytest.mark.parametrize(("described", "before", "judgement"), JUDGEMENTS.values(), ids=JUDGEMENTS)
def test_judge(described, before, judgement):
    assert health.judge(described, before) is judgement


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


STARTING = container(check="starting")
# What: (descriptions one after the other, the last one repeats; judgement; seconds)
WAITS = {
    "at once": ([container(check="healthy")], Health.HEALTHY, 0),
    "after a while": ([STARTING, STARTING, container(check="healthy")], Health.HEALTHY, 4),
    "never": ([STARTING], Health.STARTING, 10),
    "unhealthy": ([STARTING, container(check="unhealthy")], Health.FAILED, 2),
    "without a check, for long enough": ([container()], Health.HEALTHY, 2),
    "without a check, started again": (
        [container(StartedAt="1"), container(StartedAt="2")],
        Health.HEALTHY,
        4,
    ),
    "crashing": (
        [container("restarting", restarts=n) for n in (3, 4, 5, 6)],
        Health.FAILED,
        4,
    ),
    "crashing, and never seen stopped": (
        [container(check="starting", restarts=n) for n in range(9)],
        Health.FAILED,
        10,
    ),
}


@pytest.mark.parametrize(("described", "judgement", "seconds"), WAITS.values(), ids=WAITS)
def test_wait(described, judgement, seconds):
    clock = Clock()
    answers = iter(described)
    last = described[-1]
    last_health, seen = health.wait(lambda: next(answers, last), 10, 2, clock, clock.sleep)
    assert (last_health, clock.now) == (judgement, seconds)
    assert seen in described


def test_a_crash_is_described_as_it_was_when_the_container_had_stopped():
    clock = Clock()
    stopped = container("restarting", restarts=2, ExitCode=3)
    for seen in (
        [STARTING, container("restarting", restarts=1, ExitCode=3), container(restarts=2)],
        [STARTING, container(check="starting", restarts=2), stopped],
        [STARTING, container(restarts=1), container(restarts=5), container(restarts=6), stopped],
    ):
        judgement, described = health.wait(iter(seen).__next__, 60, 0.5, clock, clock.sleep)
        assert judgement is Health.FAILED
        assert health.complaint("x", described, 60, "boom") == (
            "The container x stopped with exit code 3. Its last log lines:\nboom"
        )


# What: a container, its log and the sentence.
COMPLAINTS = {
    "unhealthy": (
        container(check="unhealthy", outputs=["first", "refused\n"]),
        "a\nb\n",
        (
            "The container x is unhealthy; its health check last said: refused."
            " Its last log lines:\na\nb"
        ),
    ),
    "too slow": (
        container(check="starting"),
        "",
        (
            "The container x did not become healthy within 60 s (container_healthy_timeout)."
            " It logged nothing."
        ),
    ),
    "a silent check": (
        container(check="unhealthy", outputs=[""]),
        "",
        "The container x is unhealthy; its health check last said: nothing. It logged nothing.",
    ),
    "stopped": (
        container("exited", ExitCode=3),
        "boom",
        "The container x stopped with exit code 3. Its last log lines:\nboom",
    ),
    "out of memory": (
        container("restarting", ExitCode=137, OOMKilled=True),
        "",
        "The container x stopped with exit code 137, out of memory. It logged nothing.",
    ),
    "cannot start": (
        container("created", ExitCode=127, Error="no such file"),
        "",
        "The container x stopped with exit code 127; no such file. It logged nothing.",
    ),
}


@pytest.mark.parametrize(("described", "log", "sentence"), COMPLAINTS.values(), ids=COMPLAINTS)
def test_complaint(described, log, sentence):
    assert health.complaint("x", described, 60.0, log) == sentence
