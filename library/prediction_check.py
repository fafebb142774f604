#!/usr/bin/python
"""Ansible module prediction_check: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: prediction_check
short_description: Query a running prediction service and verify its answers
description:
  - Sends each input to the service and compares the answer with the expected status, content
    type, predicted numbers within a tolerance, and latency.
  - Waits for a service that is starting. A temporary failure is retried, with increasing delays
    and jitter, until O(deadline). Temporary failures are a refused or dropped connection, a
    timeout, an unreachable host, a temporary failure of the name lookup, and the statuses
    in O(retry_statuses). Any other failure is final, such as a wrong answer, another
    status, a rejected certificate or an unknown name.
  - Every problem of every check is reported, in one message.
  - Redirects are not followed, but treated like any other answer. Proxies of the environment
    are used, but never for addresses of this machine (C(localhost), loopback).
version_added: 0.1.0
author:
  - docker-ml-api
options:
  url:
    description:
      - URL of the service, as C(http://HOST:PORT) or C(https://HOST:PORT), with the path
        that all checks share, if any.
    type: str
    required: true
  unix_socket:
    description:
      - Socket on this machine to connect to instead of the URL's host, such as the socket of a
        tunnel to that host. Proxies are not used then.
    type: path
  checks:
    description: The requests and the expected answers, in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Path below O(url), with a leading slash; may contain a query.
        type: str
        default: /
      query:
        description: Query parameters, encoded and added to the path. A list repeats its key.
        type: dict
      method:
        description:
          - HTTP method. Defaults to V(POST) if there is a O(checks[].body), otherwise to V(GET).
        type: str
        choices: [GET, POST]
      body:
        description:
          - Body of the request. Text is sent unchanged, as C(text/plain); anything else as JSON.
            O(headers) may set another content type.
        type: raw
      status:
        description: Expected statuses.
        type: list
        elements: int
        default: [200]
      content_type:
        description: Expected media type of the answer, such as C(application/json). Parameters such
          as the charset are not compared. If unset, any type is accepted.
        type: str
      expected:
        description:
          - Expected value of the answer, a number, a list of numbers, a nested list, or any JSON
            value.
          - The answer is read as JSON or as the text of a numpy array (C([199.6 12.])).
            Numbers are compared with the tolerances, all other values exactly. Lists must have the
            same length, and mappings the same keys. NaN equals only NaN, an infinity only itself.
        type: raw
      tolerance:
        description: Maximum difference between a number and the expected one.
        type: float
        default: 0.0
      relative_tolerance:
        description:
          - The maximum difference as a fraction of the expected number, V(0.01) for 1 %. The larger
            of the two tolerances applies.
        type: float
        default: 0.0
      expected_text:
        description: Expected text of the answer, compared according to O(checks[].text_match).
        type: str
      text_match:
        description:
          - V(equal), except for line breaks at the end; V(prefix), the answer begins with the
            text; V(contains), it contains the text; V(regex), the text is a Python regular
            expression that matches somewhere in the answer.
        type: str
        choices: [equal, prefix, contains, regex]
        default: equal
      samples:
        description: Number of requests for this check. Defaults to the task's O(samples).
        type: int
      latency_p50:
        description: Upper bound in milliseconds of the median latency.
        type: float
      latency_p99:
        description: Upper bound in milliseconds of the 99th percentile of the latencies.
        type: float
  samples:
    description:
      - Number of requests for each check, one after the other, each on a new connection. All
        answers must be correct.
    type: int
    default: 1
  deadline:
    description: Timeout in seconds of the task, including all checks, samples and retries.
    type: float
    default: 60
extends_documentation_fragment: prediction_check
attributes:
  check_mode:
    support: full
    description: Predictions change nothing, so requests are sent in check mode too, including
      POST.
  diff_mode:
    support: none
    description: Changes nothing.
notes:
  - Percentiles are computed by nearest rank, so they are measured values. With fewer than 100
    samples, the 99th percentile is the maximum.
  - A latency is the time from before the connection until after the last byte of the correct
    answer, without waiting for retries. About half a millisecond of it is due to the module.
seealso:
  - module: ansible.builtin.uri
"""

EXAMPLES = r"""
- name: Wait until the model answers, and check two predictions
  prediction_check:
    url: http://127.0.0.1:9000
    checks:
      - path: /isAlive
        expected: true
      - path: /prediction/?f=0.05
        expected: [199.6]
        tolerance: 0.1

- name: Check a prediction by POST, and that 99 of 100 requests take at most 50 ms
  prediction_check:
    url: https://model.example.com
    ca_path: /etc/ssl/company.pem
    samples: 100
    checks:
      - path: /prediction/
        body: {f: [0.05, -0.02]}
        content_type: application/json
        expected: {prediction: [199.6, 133.1]}
        relative_tolerance: 0.001
        latency_p99: 50

- name: Check the greeting of a service that must be up by now
  prediction_check:
    url: http://127.0.0.1:8080
    retries: 0
    checks:
      - content_type: text/plain
        expected_text: "Hello, world!\nVersion: 1.0.0\nHostname: "
        text_match: prefix
"""

RETURN = r"""
checks:
  description: The result of each check, in the order of the option.
  returned: always, but for wrong options
  type: list
  elements: dict
  contains:
    url:
      description: The URL that was requested.
      type: str
      sample: http://127.0.0.1:9000/prediction/?f=0.05
    method:
      description: The HTTP method.
      type: str
      sample: GET
    command:
      description: The command for the same request by hand.
      type: str
      sample: curl 'http://127.0.0.1:9000/prediction/?f=0.05'
    status:
      description: Status of the last answer; null if there was none.
      type: int
      sample: 200
    content_type:
      description: Content type of the last answer.
      type: str
      sample: text/html; charset=utf-8
    body:
      description: The first 500 characters of the last answer.
      type: str
      sample: "[199.60306236]"
    value:
      description: The last answer as a value; null if it is not one.
      type: raw
      sample: [199.60306236]
    samples:
      description: Number of correct answers.
      type: int
      sample: 1
    latencies:
      description: Milliseconds until the correct answers were complete; null without any.
      type: dict
      contains:
        min: {description: The fastest., type: float, sample: 1.9}
        p50: {description: The median., type: float, sample: 2.1}
        p99: {description: The 99th percentile., type: float, sample: 3.4}
        max: {description: The slowest., type: float, sample: 3.4}
    attempts:
      description: Number of requests sent, retries included.
      type: int
      sample: 3
    healed:
      description: Failures that were retried, as text, with their number.
      type: list
      elements: str
      sample: ["nothing listens at 127.0.0.1:9000 (2 times)"]
    kind:
      description:
        - Kind of the first problem, empty when all is well. One of V(nothing_listens),
          V(name_unknown), V(timed_out), V(dropped), V(unreachable), V(certificate), V(tls),
          V(not_http), V(invalid), V(status), V(too_large), V(content_type), V(value), V(text),
          V(latency), V(not_asked).
      type: str
      sample: ""
    problems:
      description: The problems, as text.
      type: list
      elements: str
      sample: []
summary:
  description: One line on each check.
  returned: always, but for wrong options
  type: list
  elements: str
  sample: ["http://127.0.0.1:9000/prediction/?f=0.05 answered [199.60306236] in 2.1 ms"]
msg:
  description: All problems, or how many checks passed.
  returned: always
  type: str
  sample: 2 of 2 checks passed
"""

import random

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_ml_api.checks.options import (
    CHECKS,
    REQUEST_OPTIONS,
    make_client,
)
from ansible.module_utils.docker_ml_api.checks.runner import (
    Checker,
    SystemClock,
    read_check,
    read_policy,
    summarize,
)

OPTIONS = {
    "url": {"type": "str", "required": True},
    "unix_socket": {"type": "path"},
    "checks": CHECKS,
    "samples": {"type": "int", "default": 1},
    "deadline": {"type": "float", "default": 60},
    **REQUEST_OPTIONS,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    params = module.params
    try:
        policy = read_policy(params)
        checks = [
            read_check(params["url"], check, params["headers"], params["samples"])
            for check in params["checks"]
        ]
    except ValueError as error:
        module.fail_json(msg=str(error))
    client = make_client(params, params["unix_socket"])
    checker = Checker(client, policy, SystemClock(), random.random)
    outcome = summarize([checker.run(check) for check in checks])
    end = module.fail_json if outcome.pop("failed") else module.exit_json
    end(changed=False, **outcome)


if __name__ == "__main__":
    main()
