#!/usr/bin/env bash
# The official Python client of Kubernetes as a context manager: after the block its connection is open.
#
# Most would guess: `with client.ApiClient() as api:`, the form of each of its examples, or `api.close()`,
# ends what was opened in it.
# Seen: close() ends a pool of threads, for asynchronous calls, which is hardly ever there. The connection
# to the API server stays open, with its login, until the garbage collector takes the client; as long as
# something refers to it (a list, the traceback of a failure that was kept) it is never closed. `clear()` of
# the client's pool_manager does not close it either, if anything holds on to a pool: urllib3 2 only forgets
# its pools there. close() of each pool does.
# Who is hurt: whoever makes a client for each cluster, tenant or renewed login in a process that goes on
# (an operator, a dashboard, Ansible modules that run in one process): each keeps a connection at the API
# server, and Python reports an unclosed socket in whatever runs when it is collected.
# Versions: kubernetes 35.0.0, urllib3 2.8.0, Python 3.11.2.
#
# Exits with 0 if this is still so, with 1 when it has changed.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export HOME=$folder LC_ALL=C.UTF-8
unset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy NO_PROXY no_proxy ALL_PROXY all_proxy KUBECONFIG
python3 -m venv tool
tool/bin/pip --quiet --disable-pip-version-check install kubernetes==35.0.0 urllib3==2.8.0

cat >ask.py <<'ASK'
import gc, http.server, sys, threading, time

from kubernetes import client

ended = threading.Semaphore(0)

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b'{"kind": "NamespaceList", "apiVersion": "v1", "metadata": {}, "items": []}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def finish(self):
        super().finish()
        ended.release()

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
configuration = client.Configuration()
configuration.host = f"http://127.0.0.1:{server.server_port}"

def connection_ended():
    return ended.acquire(timeout=1)

with client.ApiClient(configuration) as api:
    client.CoreV1Api(api).list_namespace()
    manager = api.rest_client.pool_manager
    pools = [manager.pools[key] for key in manager.pools.keys()]
seen = {"after the block": connection_ended()}
api.close()
gc.collect()
seen["after close()"] = connection_ended()
manager.clear()
seen["after pool_manager.clear()"] = connection_ended()
for pool in pools:
    pool.close()
seen["after close() of its pool"] = connection_ended()
for when, closed in seen.items():
    print(f"{when}: the connection is {'closed' if closed else 'open'}")
sys.exit(list(seen.values()) != [False, False, False, True])
ASK
tool/bin/python ask.py
