#!/bin/sh
# Runs a container without any registry: the image is the host's own echo and the
# libraries that it is linked with. Usage: proof.sh DOCKER [LABEL=VALUE ...]
set -eu

docker=$1
shift
image=docker-ml-api/proof:$$
root=$(mktemp -d)
trap 'rm -rf "$root"; "$docker" image rm --force "$image" >/dev/null 2>&1 || true' EXIT

for file in /bin/echo $(ldd /bin/echo | grep -o '/[^ :]*'); do
    mkdir -p "$root$(dirname "$file")"
    cp -L "$file" "$root$file"
done

labels=
[ $# -eq 0 ] || labels="LABEL $*"
tar -C "$root" -c . | "$docker" import ${labels:+--change "$labels"} - "$image" >/dev/null
said=$("$docker" run --rm "$image" /bin/echo it works)
[ "$said" = "it works" ]
