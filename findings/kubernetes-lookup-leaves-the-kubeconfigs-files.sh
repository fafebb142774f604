#!/usr/bin/env bash
# The lookup kubernetes.core.k8s leaves files with what a kubeconfig holds, one set for each task.
#
# Most would guess: the files into which the Python client of Kubernetes writes certificates and keys
# of a kubeconfig are gone when the run has ended, since the client registers their removal (atexit).
# Modules of kubernetes.core do leave none.
# Seen: a lookup is run in the process that Ansible forks for its task. Before Python 3.13
# multiprocessing ends such a process without calling what is registered with atexit, so that each task
# with the lookup leaves the authority's certificate, the client's and its key in the folder of
# temporary files (mode 0600), until somebody empties it. With Python 3.13 none of them is left (the
# client's cache of what the server has, k8srcp-….json, is with both; it is meant to stay).
# Who is hurt: who runs playbooks with this lookup (or with a filter or action plugin that uses the
# client) from a machine that stays: hundreds of files come together, and keys outlive their kubeconfig.
# Versions: ansible 12.3.0 (ansible-core 2.19.14, kubernetes.core 6.2.0), kubernetes 35.0.0, Python
# 3.11.7 and 3.13.0.
#
# Exits with 0 if this is still so, with 1 when it has changed.
set -euo pipefail
folder=$(mktemp --directory)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
export HOME=$folder ANSIBLE_LOCALHOST_WARNING=false LC_ALL=C.UTF-8
python3 -m venv --without-pip tool
python3 -m pip --quiet --disable-pip-version-check --python tool/bin/python install \
    ansible==12.3.0 ansible-core==2.19.14 kubernetes==35.0.0

# A server that answers as an API server does when it is asked for its version and for what it has.
openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out certificate -days 1 \
    -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 \
    -addext keyUsage=critical,digitalSignature,keyCertSign 2>/dev/null
cat >server.py <<'SERVER'
import http.server, json, pathlib, ssl

ANSWERS = {
    "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(ANSWERS[self.path.rstrip("/")]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("certificate", "key")
server.socket = context.wrap_socket(server.socket, server_side=True)
pathlib.Path("port.new").write_text(str(server.server_port))
pathlib.Path("port.new").rename("port")
server.serve_forever()
SERVER
tool/bin/python server.py &
server=$!
for _ in $(seq 100); do [ -e port ] || sleep 0.1; done

data() { base64 --wrap=0 "$1"; }
cat >kubeconfig <<CONFIG
apiVersion: v1
kind: Config
current-context: one
contexts: [{name: one, context: {cluster: one, user: one}}]
clusters:
- name: one
  cluster: {server: "https://127.0.0.1:$(cat port)", certificate-authority-data: $(data certificate)}
users:
- name: one
  user: {client-certificate-data: $(data certificate), client-key-data: $(data key)}
CONFIG
cat >play.yml <<'PLAY'
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.debug:
        msg: "{{ lookup('kubernetes.core.k8s', cluster_info='version', kubeconfig='kubeconfig') }}"
PLAY

mkdir files
for run in 1 2 3; do
    TMPDIR=$folder/files tool/bin/ansible-playbook play.yml >"said.$run"
done
grep --max-count=1 gitVersion said.1
python3 --version
count() { { grep --files-with-matches --recursive "$1" files || true; } | wc -l; }
keys=$(count 'PRIVATE KEY')
echo "after three runs of one task: $(count CERTIFICATE) files with a certificate, $keys with the client's key"
echo "other files: $(find files -type f -printf '%f ' | grep -oE '\S+\.json' || true)"
if [ "$keys" -gt 0 ]; then
    echo "as described"
elif python3 -c 'import sys; sys.exit(sys.version_info < (3, 13))'; then
    echo "as described: none is left from Python 3.13 on"
else
    echo "changed: none is left"
    exit 1
fi
