#!/bin/sh
# Packs the project's files as they are now, without what git ignores.
set -eu
git ls-files -z --cached --others --exclude-standard >"$1.files"
tar --create --gzip --null --files-from="$1.files" --file="$1"
rm "$1.files"
