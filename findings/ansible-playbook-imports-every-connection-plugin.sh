#!/usr/bin/env bash
# ansible-playbook imports the Python client of every connection plugin that it can import,
# whatever the hosts use.
#
# Most would guess: pypsrp and requests, the clients of the connection plugin `psrp`, are imported by
# runs with a host that is reached by PSRP, and installing them beside Ansible costs other runs
# nothing.
# Seen: a play on localhost with `connection: local` imports pypsrp, requests and urllib3
# when they are installed: before the first play, PlaybookExecutor.run loads the classes
# of all connection plugins, for their documentation of options.
# Who is hurt: who installs pypsrp for a few Windows machines. Each run on anything else takes a
# tenth of a second or more longer, nested runs and those of molecule too.
# Versions: ansible-core 2.19.14, pypsrp 0.8.1, Python 3.11.
#
# Exits with 0 if this is still so, with 1 when it has changed.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export HOME=$folder ANSIBLE_LOCALHOST_WARNING=false LC_ALL=C.UTF-8
python3 -m venv --without-pip tool
python3 -m pip --quiet --disable-pip-version-check --python tool/bin/python install ansible-core==2.19.14
cat >play.yml <<'PLAY'
- hosts: localhost
  connection: local
  gather_facts: false
  tasks: [{ansible.builtin.debug: {msg: nothing of Windows}}]
PLAY

# The clients that a run imports, and the seconds of processor time that it takes, the best of five.
look() {
    tool/bin/python -X importtime tool/bin/ansible-playbook play.yml 2>&1 >/dev/null |
        grep -oE '\| +(pypsrp.powershell|requests|urllib3)$' | tr -d '| ' | sort | tr '\n' ' ' || true
}
seconds() {
    tool/bin/python - <<'TIME'
import resource, subprocess
took = []
for _ in range(5):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["tool/bin/ansible-playbook", "play.yml"], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
print(f"{min(took):.2f}")
TIME
}

bare=$(look) bare_seconds=$(seconds)
python3 -m pip --quiet --disable-pip-version-check --python tool/bin/python install pypsrp==0.8.1
more=$(look) more_seconds=$(seconds)
echo "ansible-core alone:  imports [${bare% }], $bare_seconds s of processor time"
echo "pypsrp beside it:    imports [${more% }], $more_seconds s of processor time"
case $more in
*pypsrp.powershell*requests*) echo "as described: no host uses PSRP" ;;
*) echo "changed: its clients are not imported" && exit 1 ;;
esac
