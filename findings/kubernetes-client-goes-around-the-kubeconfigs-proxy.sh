#!/usr/bin/env bash
# The Python client of Kubernetes, and with it kubernetes.core, goes around a kubeconfig's `proxy-url`.
#
# Most would guess: a kubeconfig with `proxy-url` (in its format since Kubernetes 1.19), which kubectl and
# the clients in Go go by, means the same to the official client for Python: it reads every other field
# of the entry, and takes HTTPS_PROXY of the environment.
# Seen: the field is not read. The client asks the server directly, without a word; kr8s, with the same
# file, asks the proxy.
# Who is hurt: whoever reaches a cluster through a bastion by such a file: kubectl works, the modules of
# kubernetes.core time out, or worse, reach another server of the same name. They take the proxy as an
# option (`proxy`) or by K8S_AUTH_PROXY.
# Versions: kubernetes 35.0.0, kr8s 0.20.15, Python 3.11.2.
#
# Exits with 0 if this is still so, with 1 when it has changed.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export HOME=$folder LC_ALL=C.UTF-8
unset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy NO_PROXY no_proxy ALL_PROXY all_proxy
python3 -m venv tool
tool/bin/pip --quiet --disable-pip-version-check install kubernetes==35.0.0 kr8s==0.20.15

cat >ask.py <<'ASK'
import http.server, json, pathlib, sys, threading

FIELDS = "buildDate compiler gitCommit gitTreeState goVersion platform"
ANSWER = json.dumps(
    dict.fromkeys(FIELDS.split(), "-") | {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
).encode()

def listen(name, asked):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(name)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(ANSWER)))
            self.end_headers()
            self.wfile.write(ANSWER)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"

asked = []
server, proxy = listen("the server", asked), listen("the proxy", asked)
pathlib.Path("kubeconfig").write_text(json.dumps({
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "one",
    "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
    "clusters": [{"name": "one", "cluster": {"server": server, "proxy-url": proxy}}],
    "users": [{"name": "one", "user": {"token": "none"}}],
}))

def by_kubernetes():
    from kubernetes import client, config
    client.VersionApi(config.new_client_from_config("kubeconfig")).get_code()

def by_kr8s():
    import kr8s
    kr8s.api(kubeconfig="kubeconfig").version()

seen = {}
for name, ask in (("kubernetes", by_kubernetes), ("kr8s", by_kr8s)):
    asked.clear()
    try:
        ask()
    except Exception as error:  # what came of it is not the question
        print(f"{name}: {type(error).__name__}")
    seen[name] = sorted(set(asked))
    print(f"{name} asked {' and '.join(seen[name]) or 'nobody'}")
sys.exit(seen != {"kubernetes": ["the server"], "kr8s": ["the proxy"]})
ASK
if tool/bin/python ask.py; then
    echo "as described"
else
    echo "changed"
    exit 1
fi
