#!/bin/sh
# Packs the project's current files, without those that Git ignores.
set -eu
git ls-files -z --cached --others --exclude-standard >"$1.files"
tar --create --gzip --null --files-from="$1.files" --file="$1"
rm "$1.files"
