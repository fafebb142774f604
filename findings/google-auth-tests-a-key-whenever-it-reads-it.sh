#!/usr/bin/env bash
# google-auth: to read a service account's key takes a hundred times as long as to sign with it.
#
# Most would guess: `Credentials.from_service_account_file` parses a file of two kilobytes; what costs
# is the signature, and the request for the token that follows.
# Seen: cryptography tests the numbers of an RSA key, its two primes among them, whenever it reads one
# (`load_pem_private_key`), and google-auth reads the key for each credentials object: 40 ms of
# processor time for a key of 2,048 bits, where a signature takes 0.35 ms and reading without the test
# 15 µs to 0.1 ms. google-auth has no option for that, and keeps no key.
# Who is hurt: whoever makes credentials anew for each task or request: with the modules of
# google.cloud each task of a play, and each poll of a wait that is written with `until`. In this
# project's tests of GKE it was 9 % of the time of all runs.
# What helps: one credentials object for the life of a process, scoped by `with_scopes`, which does not
# read the key again (seen below).
# Versions: google-auth 2.62.2 with cryptography 50.0.2, google-auth 2.23.4 with cryptography 41.0.7.
#
# Exits with 0 if this is still so, with 1 when it has changed.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

try() { # GOOGLE_AUTH CRYPTOGRAPHY
    python3 -m venv --without-pip "of-$1"
    python3 -m pip --quiet --disable-pip-version-check --python "of-$1/bin/python" install \
        "google-auth==$1" "cryptography==$2"
    "of-$1/bin/python" - "$1" "$2" <<'PROGRAM'
import json
import sys
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.oauth2 import service_account

key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
pem = key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
with open("key.json", "w") as file:
    json.dump(
        {
            "type": "service_account",
            "client_email": "robot@a-project.iam.gserviceaccount.com",
            "private_key_id": "1",
            "private_key": pem.decode(),
            "token_uri": "https://oauth2.googleapis.com/token",
        },
        file,
    )


def shortest(function):
    """Return the shortest of twenty calls, in milliseconds of processor time."""
    taken = []
    for _ in range(20):
        before = time.process_time()
        function()
        taken.append(1000 * (time.process_time() - before))
    return min(taken)


def read():
    return service_account.Credentials.from_service_account_file("key.json")


credentials = read()
took = {
    "credentials from the file": shortest(read),
    "the key alone": shortest(lambda: serialization.load_pem_private_key(pem, None)),
    "the key alone, untested": shortest(
        lambda: serialization.load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    ),
    "other scopes": shortest(lambda: credentials.with_scopes(["openid"])),
    "a signature": shortest(lambda: credentials.sign_bytes(b"what is signed")),
}
print(f"google-auth {sys.argv[1]}, cryptography {sys.argv[2]}, milliseconds:")
for name, milliseconds in took.items():
    print(f"  {name}: {milliseconds:.3f}")
file, alone, untested, scoped, signature = took.values()
sys.exit(not (file > 10 * signature and alone > 10 * untested and scoped < signature))
PROGRAM
}

as_before=true
try 2.62.2 50.0.2 || as_before=false
try 2.23.4 41.0.7 || as_before=false
$as_before
