"""Check whether the service on this host is alive; the exit status is 0 if so, 1 if not.

It runs as a script (`python -S healthcheck.py`) and imports as little as possible, because it runs
every few seconds.
"""

import os
import socket
import sys

TIMEOUT = 2.0  # seconds, for each step
REQUEST = b"GET /isAlive HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def fault(port: int) -> str:
    """Return a description of the fault of the service on `port`, empty if there is none."""
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
            connection.sendall(REQUEST)
            while received := connection.recv(4096):
                answer += received
    except OSError as error:
        return f"port {port}: {error}"
    head, _, body = answer.partition(b"\r\n\r\n")
    if head.split(b" ", 2)[1:2] == [b"200"] and body == b"true":
        return ""
    return f"port {port}: unexpected answer {answer[:200]!r}"


if __name__ == "__main__":
    sys.exit(fault(int(os.environ.get("PORT") or "8080")) or 0)
