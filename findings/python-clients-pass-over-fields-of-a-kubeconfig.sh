#!/usr/bin/env bash
# Three Python clients of Kubernetes, one kubeconfig, three users: none of them asks as kubectl does.
#
# Most would guess: `as`, `tokenFile` and what an `exec` plugin is told (KUBERNETES_EXEC_INFO) are plain
# parts of a kubeconfig's user; a client that takes a kubeconfig either goes by them or says that it cannot.
# Seen: with `as` all three ask as the login's own user, without a word; it may do more, or less, than the
# one that is named. With `tokenFile` kr8s asks without any login, and kubernetes ends with a ValueError when
# the file ends with a line's end, which kubectl trims. kr8s does not tell the plugin which API version it
# has to answer with; lightkube does not start one of client.authentication.k8s.io/v1, and says so.
# Who is hurt: whoever lowers the rights of a context by `as` (kubectl then refuses what the client does);
# whoever has short-lived tokens in a file; whoever has a plugin that wants to know what it is asked for.
# kubernetes.core, on the first of the clients, takes impersonate_user and impersonate_groups as options.
# Versions: kubernetes 35.0.0, kr8s 0.20.15, lightkube 1.0.1, Python 3.11.2.
#
# Exits with 0 if this is still so, with 1 when it has changed.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export HOME=$folder LC_ALL=C.UTF-8
unset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy NO_PROXY no_proxy ALL_PROXY all_proxy
unset KUBECONFIG KUBERNETES_EXEC_INFO
python3 -m venv tool
tool/bin/pip --quiet --disable-pip-version-check install \
    kubernetes==35.0.0 kr8s==0.20.15 lightkube==1.0.1

cat >ask.py <<'ASK'
import http.server, json, pathlib, sys, threading

ANSWERS = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
}
asked = []

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append((self.headers["Authorization"], self.headers["Impersonate-User"]))
        namespace = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "default"}}
        body = json.dumps(ANSWERS.get(self.path.partition("?")[0].rstrip("/"), namespace)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()

V1 = "client.authentication.k8s.io/v1"
told = pathlib.Path("told")
plugin = pathlib.Path("plugin").absolute()
answer = {"apiVersion": V1, "kind": "ExecCredential", "status": {"token": "of-the-plugin"}}
plugin.write_text(
    f"#!/bin/sh\nprintf %s \"${{KUBERNETES_EXEC_INFO-}}\" >{told.absolute()}\n"
    f"echo '{json.dumps(answer)}'\n"
)
plugin.chmod(0o700)
token = pathlib.Path("token").absolute()
token.write_text("of-the-file\n")
USERS = {
    "as": {"token": "of-the-user", "as": "deployer"},
    "tokenFile": {"tokenFile": str(token)},
    "exec": {"exec": {"apiVersion": V1, "command": str(plugin), "interactiveMode": "Never"}},
}

def by_kubernetes(path):
    from kubernetes import client, config
    client.CoreV1Api(config.new_client_from_config(path)).read_namespace("default")

def by_kr8s(path):
    import kr8s
    kr8s.api(kubeconfig=path).version()

def by_lightkube(path):
    from lightkube import Client, KubeConfig
    from lightkube.resources.core_v1 import Namespace
    Client(config=KubeConfig.from_file(path)).get(Namespace, "default")

seen = {}
for client_name, ask in (
    ("kubernetes", by_kubernetes), ("kr8s", by_kr8s), ("lightkube", by_lightkube),
):
    for field, user in USERS.items():
        path = pathlib.Path(f"{client_name}-{field}")
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "one",
            "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
            "clusters": [{"name": "one", "cluster": {
                "server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [{"name": "one", "user": user}],
        }))
        asked.clear()
        told.write_text("")
        try:
            ask(str(path))
        except Exception as error:  # what came of it is not the question
            print(f"  {client_name}: {type(error).__name__}: {str(error)[:100]}")
        login, acting = asked[-1] if asked else ("-", None)
        said = f"login: {login}, acting as: {acting or 'itself'}"
        if field == "exec":
            said += f", plugin told: {V1 in told.read_text()}"
        print(f"{client_name:11}{field:10}{said}")
        seen[client_name, field] = (login, acting, field == "exec" and V1 in told.read_text())
# What kubectl does.
MEANT = {
    "as": ("Bearer of-the-user", "deployer", False),
    "tokenFile": ("Bearer of-the-file", None, False),
    "exec": ("Bearer of-the-plugin", None, True),
}
passed_over = {key for key, value in seen.items() if value != MEANT[key[1]]}
sys.exit(passed_over != {
    ("kubernetes", "as"), ("kr8s", "as"), ("lightkube", "as"),
    ("kubernetes", "tokenFile"), ("kr8s", "tokenFile"),
    ("kr8s", "exec"), ("lightkube", "exec"),
})
ASK
if tool/bin/python ask.py; then
    echo "as described"
else
    echo "changed"
    exit 1
fi
