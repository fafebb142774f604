#!/usr/bin/env bash
# Docker's engine closes each connection that rests for five minutes, also that of a shared ssh login.
#
# Most would guess: a connection to the engine's Unix socket stays as long as both ends want it to. A command
# that leads to it, such as `docker system dial-stdio` at the end of an ssh login, lasts as long as its input,
# so that it can be the first of many that share the login (ControlMaster).
# Seen: the engine closes the connection after 300 s, whether nothing was asked on it or one request was
# answered; the command then ends without a word, with status 0, and with it the login.
# Who is hurt: whoever opens a connection to have it ready. In the middle of a long build the login is gone,
# and each later connection logs in by itself: slow, and what fail2ban and MaxStartups look for. One request
# (GET /_ping) a minute prevents this.
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
# It warns that it does so as root.
apt-get download -qq "docker.io=20.10.24*" containerd runc tini 2>warnings || { cat warnings; exit 1; }
for package in *.deb; do dpkg-deb -x "$package" root; done
PATH=$folder/root/usr/sbin:$folder/root/usr/bin:$PATH
dockerd --version
# In a network of its own: an engine without a bridge removes the one that is there.
unshare --net dockerd --host="unix://$folder/engine.sock" --data-root="$folder/data" --exec-root="$folder/exec" \
    --pidfile="$folder/pid" --bridge=none --iptables=false --ip6tables=false \
    --containerd-namespace=finding --containerd-plugins-namespace=finding-plugins \
    >"$folder/log" 2>&1 &
engine=$!
for _ in $(seq 300); do grep -q 'API listen on' "$folder/log" && break; sleep 0.1; done

cat >ask.py <<'ASK'
import os, select, socket, subprocess, sys, time

connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
connection.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
assert b" 200 OK" in connection.recv(65536)
command = subprocess.Popen(
    ["docker", "--host", f"unix://{sys.argv[1]}", "system", "dial-stdio"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
)
begun = time.monotonic()
names = {connection.fileno(): "one request was answered", command.stdout.fileno(): "dial-stdio"}
ends = {}
while len(ends) < 2 and (left := begun + 330 - time.monotonic()) > 0:
    for number in select.select([one for one in names if one not in ends], [], [], left)[0]:
        if not os.read(number, 65536):
            ends[number] = time.monotonic() - begun
for number, name in names.items():
    seconds = ends.get(number)
    print(f"{name}: {'open after 330 s' if seconds is None else f'closed after {seconds:.0f} s'}")
if command.stdout.fileno() in ends:
    print(f"dial-stdio, whose input is still open, ended with status {command.wait(10)}")
sys.exit(not all(295 < ends.get(number, 0) < 305 for number in names) or command.wait(10) != 0)
ASK
if python3 ask.py "$folder/engine.sock"; then
    echo "as described"
else
    echo "changed"
    exit 1
fi
