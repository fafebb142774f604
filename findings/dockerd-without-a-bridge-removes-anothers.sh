#!/usr/bin/env bash
# A second Docker engine with `--bridge=none` removes the bridge of the first one.
#
# Most would guess: `--bridge=none` (and `--iptables=false`, a data root, a socket and a pidfile of its own)
# makes an engine that leaves the machine's network alone, so that it can run beside the one that is there.
# Seen: while it starts it deletes the interface docker0, whoever made it. The first engine goes on and says
# nothing; its containers keep running, cut off; each new one, and each RUN of a build, fails with "adding
# interface … to bridge docker0 failed: could not find bridge docker0".
# Who is hurt: whoever starts an engine for a test beside the machine's own. One with a bridge of its own
# (`--bridge=NAME`) leaves docker0 alone, and so does one in a network namespace of its own.
# Versions: docker.io 20.10.24+dfsg1 of Debian 12 (dockerd, containerd, runc).
#
# Needs root, and apt of Debian 12; both engines run in a network namespace that it makes, so that the
# machine's own docker0 is not concerned. Exits with 0 if this is still so, with 1 when it has changed.
set -euo pipefail
export LC_ALL=C.UTF-8
if [ "${1-}" != inside ]; then
    folder=$(mktemp --directory)
    trap 'rm -rf "$folder"' EXIT
    here=$(realpath "$0")
    cd "$folder"
    # It warns that it does so as root.
    apt-get download -qq "docker.io=20.10.24*" containerd runc tini 2>warnings || { cat warnings; exit 1; }
    for package in *.deb; do dpkg-deb -x "$package" root; done
    PATH=$folder/root/usr/sbin:$folder/root/usr/bin:$PATH unshare --net --mount bash "$here" inside "$folder"
    exit
fi
folder=$2
engines=()
end() {
    for engine in "${engines[@]}"; do kill "$engine" && wait "$engine" || :; done
}
trap end EXIT
cd "$folder"
ip link set lo up
dockerd --version

start() { # a name, and more options
    local name=$1
    shift
    mkdir "$name"
    dockerd --host="unix://$folder/$name/sock" --data-root="$folder/$name/data" \
        --exec-root="$folder/$name/exec" --pidfile="$folder/$name/pid" --iptables=false \
        --ip6tables=false --containerd-namespace="finding-$name" \
        --containerd-plugins-namespace="finding-$name-plugins" "$@" >"$folder/$name/log" 2>&1 &
    engines+=($!)
    for _ in $(seq 300); do grep -q 'API listen on' "$name/log" && return; sleep 0.1; done
    tail -n 5 "$name/log"
    return 1
}
bridge() { ip link show docker0 >/dev/null 2>&1 && echo there || echo gone; }

start first
before=$(bridge)
echo "docker0 of the first engine: $before"
start second --bridge=none
after=$(bridge)
echo "and after a second one with --bridge=none: $after"
if [ "$before $after" = "there gone" ]; then
    echo "as described"
else
    echo "changed"
    exit 1
fi
