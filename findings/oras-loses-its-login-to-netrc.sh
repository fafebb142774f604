#!/usr/bin/env bash
# oras-py with a login of its own: an entry in ~/.netrc for the registry's host wins, and the login fails.
#
# Most would guess: who gives a registry client a user and a password logs in as that user; the token that the
# registry's token service then returns is what the next request carries.
# Seen: with an entry for the host in ~/.netrc, the token service is asked as the entry's user. The token
# that it returns is dropped, too: the next request carries the entry's user and password instead of it, and
# is refused. The error is "Unauthorized", of the user that was given. Without the entry all works. The HTTP
# library below (requests) replaces an Authorization header by the entry, unless `auth` is set.
# Who is hurt: whoever has machine entries for a host that is a registry as well (GitLab, Artifactory, Nexus,
# GitHub: git and pip read the same file), often with a token that may read sources only.
# Versions: oras 0.2.42, requests 2.34.0, Python 3.11.
#
# Exits with 0 if this is still so, with 1 when it has changed.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export HOME=$folder LC_ALL=C.UTF-8
unset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy ALL_PROXY all_proxy NETRC
python3 -m venv tool
tool/bin/pip --quiet --disable-pip-version-check install oras==0.2.42 requests==2.34.0

cat >ask.py <<'ASK'
import base64, http.server, json, pathlib, sys, threading

MANIFEST = json.dumps({
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest":
               "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},
    "layers": [],
}).encode()
asked = []

def who(header):
    kind, _, value = (header or "").partition(" ")
    return base64.b64decode(value).decode().partition(":")[0] if kind == "Basic" else value or "nobody"

class Registry(http.server.BaseHTTPRequestHandler):
    """A registry with a token service, as the distribution specification has them."""

    def do_GET(self):
        token = self.path.startswith("/token")
        asked.append(("token service" if token else "registry", who(self.headers["Authorization"])))
        if token:
            self.answer(200, b'{"token": "the-token"}', "application/json")
        elif self.headers["Authorization"] == "Bearer the-token":
            self.answer(200, MANIFEST, "application/vnd.oci.image.manifest.v1+json")
        else:
            self.answer(401, b'{"errors": [{"code": "UNAUTHORIZED"}]}', "application/json")

    def answer(self, status, body, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status == 401:
            realm = f"http://{host}/token"
            scope = "repository:team/app:pull"
            self.send_header(
                "WWW-Authenticate", f'Bearer realm="{realm}",service="registry",scope="{scope}"'
            )
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
threading.Thread(target=server.serve_forever, daemon=True).start()
host = f"127.0.0.1:{server.server_port}"

def pull():
    import oras.provider
    registry = oras.provider.Registry(hostname=host, insecure=True, auth_backend="token")
    registry.auth.set_basic_auth("deployer", "right")
    asked.clear()
    try:
        registry.get_manifest(f"{host}/team/app:v1")
        end = "found"
    except Exception as error:  # what came of it is said below
        end = str(error).rpartition(": ")[2]
    print(f"  asked: {', '.join(f'{where} as {name}' for where, name in asked)}; {end}")
    return asked[-1], end

print("without ~/.netrc")
without = pull()
netrc = pathlib.Path.home() / ".netrc"
netrc.write_text("machine 127.0.0.1 login reader password of-git\n")
netrc.chmod(0o600)
print("with an entry of `reader` for this host in ~/.netrc")
with_entry = pull()
sys.exit(
    without != (("registry", "the-token"), "found")
    or with_entry != (("registry", "reader"), "Unauthorized")
)
ASK
if tool/bin/python ask.py; then
    echo "as described"
else
    echo "changed"
    exit 1
fi
