#!/usr/bin/env bash
# Docker's engine closes a connection after five minutes, if nothing was asked on it yet; never afterwards.
#
# Most would guess: a connection to the engine's Unix socket stays as long as both ends want it to, or it is
# closed after some idle time, whatever was done on it before. A command that leads to the socket, such as
# `docker system dial-stdio` at the end of an ssh login, lasts as long as its input.
# Seen: a connection on which nothing was asked is closed by the engine after 300 s, without a word. One on
# which a single request was answered is still open then, however long it rests.
# Who is hurt: whoever opens a connection to have it ready. A login that runs `docker system dial-stdio` to be
# shared by others (ControlMaster) ends in the middle of a long build, and each later connection logs in by
# itself: slow, and what fail2ban and MaxStartups look for. One request (GET /_ping) on it prevents this.
# Versions: docker.io 20.10.24+dfsg1 of Debian 12 (dockerd, containerd, runc); in moby's sources it is the
# API server's ReadHeaderTimeout.
#
# Needs root, and apt of Debian 12. Takes five minutes. Exits with 0 if this is still so, with 1 if not.
set -euo pipefail
folder=$(mktemp --directory)
engine=
trap '[ -z "$engine" ] || { kill "$engine" && wait "$engine"; } || :; rm -rf "$folder"' EXIT
cd "$folder"
export LC_ALL=C.UTF-8
apt-get download -qq "docker.io=20.10.24*" containerd runc tini 2>/dev/null
for package in *.deb; do dpkg-deb -x "$package" root; done
PATH=$folder/root/usr/sbin:$folder/root/usr/bin:$PATH
dockerd --version
dockerd --host="unix://$folder/engine.sock" --data-root="$folder/data" --exec-root="$folder/exec" \
    --pidfile="$folder/pid" --bridge=none --iptables=false --ip6tables=false \
    --containerd-namespace=finding --containerd-plugins-namespace=finding-plugins \
    >"$folder/log" 2>&1 &
engine=$!
for _ in $(seq 300); do grep -q 'API listen on' "$folder/log" && break; sleep 0.1; done

cat >ask.py <<'ASK'
import select, socket, sys, time

def connect():
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(sys.argv[1])
    return connection

begun = time.monotonic()
ends = {}
unused, used = connect(), connect()
used.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
assert b" 200 OK" in used.recv(65536)
names = {unused: "nothing was asked", used: "one request was answered"}
while len(ends) < 2 and (left := begun + 330 - time.monotonic()) > 0:
    for connection in select.select([one for one in names if one not in ends], [], [], left)[0]:
        if not connection.recv(65536):
            ends[connection] = time.monotonic() - begun
for connection, name in names.items():
    seconds = ends.get(connection)
    print(f"{name}: {'still open after 330 s' if seconds is None else f'closed after {seconds:.0f} s'}")
sys.exit(used in ends or not 295 < ends.get(unused, 0) < 305)
ASK
if python3 ask.py "$folder/engine.sock"; then
    echo "as described"
else
    echo "changed"
    exit 1
fi
