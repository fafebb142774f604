#!/usr/bin/env bash
# ansible-playbook that waits for one task takes 4 to 6 % of a processor for as long as that lasts.
#
# Most would guess: a run whose only task sleeps (a build, a rollout, the creation of a cluster)
# takes nothing meanwhile; there is a result to come through a pipe, and a thread that blocks on it.
# Seen: the run's main process looks a thousand times a second whether the task has ended
# (`internal_poll_interval`, 0.001 s, of ansible.cfg alone: it has no environment variable). Of 20
# seconds that `sleep` takes, about one is spent so, as user and system time; with 0.01 s it is
# a tenth of that, and a task ends 5 ms later on average. Where wake-ups cost more than on bare metal
# (small virtual machines), so do these.
# Who is hurt: whoever has many runs wait at once – a CI machine with 25 of them has a processor less
# – and whoever runs Ansible on a battery, or pays for CPU seconds.
# Versions: ansible-core 2.19.14 on Python 3.11.7, ansible-core 2.21.5 on Python 3.13.0.
#
# Exits with 0 if this is still so, with 1 when it has changed.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export HOME=$folder LC_ALL=C.UTF-8
export ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_INVENTORY_UNPARSED_WARNING=false
version=2.19.14
if python3 -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then version=2.21.5; fi
python3 -m venv --without-pip tool
python3 -m pip --quiet --disable-pip-version-check --python tool/bin/python install \
    "ansible-core==$version"

cat >measure.py <<'MEASURE'
import os, pathlib, resource, subprocess, sys

def spent(seconds):
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False,
             "tasks": [{"ansible.builtin.command": f"sleep {seconds}"}]}]
    pathlib.Path("play.yml").write_text(str(play).replace("False", "false"))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["tool/bin/ansible-playbook", "play.yml"], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

SECONDS = 20
shares = {}
for interval in (None, 0.01):
    setting = f"[defaults]\ninternal_poll_interval = {interval}\n" if interval else ""
    pathlib.Path("ansible.cfg").write_text(setting)
    spent(0)  # what is compiled once
    shares[interval] = (spent(SECONDS) - spent(0)) / SECONDS
    print(f"{interval or 'the default'}: {shares[interval]:.2%} of a processor while the task sleeps")
sys.exit(shares[None] < 0.01 or shares[None] < 3 * shares[0.01])
MEASURE
tool/bin/ansible-playbook --version | sed --quiet 1p
if tool/bin/python measure.py; then
    echo "as described"
else
    echo "changed: waiting takes less, or the interval makes no difference"
    exit 1
fi
