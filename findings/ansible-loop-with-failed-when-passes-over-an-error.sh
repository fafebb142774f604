#!/usr/bin/env bash
# Ansible: with `failed_when`, an item of a loop that ends in an error does not fail the task.
#
# Most would guess: `failed_when` decides for the items that a module ran for. An item whose arguments
# cannot be made (an undefined variable, a filter that raises an error) fails the task, as it does
# without `failed_when` and without a loop.
# Seen: the item is reported as `failed`, with its error – and the play goes on with the next task,
# counts no failure and ends with 0, if `failed_when` was evaluated for one other item. Only this is
# then looked at (`failed_when_result`, which the item with the error does not have). The registered
# variable is `failed` with ansible-core 2.19 and is not with 2.21; the item in `results` is with
# both. If no item got as far as `failed_when`, the task fails.
# Who is hurt: whoever writes `failed_when` in a loop, the usual `failed_when: r.rc not in [0, 1]`
# among it: the one host, user or file with an incomplete entry is left out, and the run is green.
# What helps: in a task of its own, an assertion that no item of `r.results` is failed.
# Versions: ansible-core 2.19.14 on Python 3.11, ansible-core 2.21.5 on Python 3.13.
#
# Exits with 0 if this is still so, with 1 when it has changed.
set -euo pipefail
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export HOME=$folder LC_ALL=C.UTF-8 ANSIBLE_NOCOLOR=1
export ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_INVENTORY_UNPARSED_WARNING=false
version=2.19.14
if python3 -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then version=2.21.5; fi
python3 -m venv --without-pip tool
python3 -m pip --quiet --disable-pip-version-check --python tool/bin/python install \
    "ansible-core==$version"

play() { # NAME FAILED_WHEN ITEMS
    cat >"$1.yml" <<PLAY
- hosts: localhost
  connection: local
  gather_facts: false
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - name: Greet
      ansible.builtin.command: {argv: [echo, "{{ item.name }}"]}
      changed_when: false
      $2
      register: greeted
      loop: $3
    - name: It goes on
      ansible.builtin.debug: {msg: "failed, as a whole and each: {{ greeted is failed }} {{ each }}"}
      vars: {each: "{{ greeted.results | map(attribute='failed') }}"}
PLAY
    status=0
    tool/bin/ansible-playbook "$1.yml" >"$1.out" 2>&1 || status=$?
    failed=$(grep --count '^failed: ' "$1.out" || true)
    echo "$1: exit status $status, items reported as failed: $failed"
    grep --only-matching 'failed, as a whole and each: [^{"]*' "$1.out" || true
}

condition='failed_when: greeted.rc not in [0, 1]'
tool/bin/ansible-playbook --version | sed --quiet 1p
play without-failed_when "" '[{name: one}, {title: two}]'
without=$status
play with-failed_when "$condition" '[{name: one}, {title: two}]'
with=$status
play only-the-error "$condition" '[{title: two}]'
only=$status
if [ "$without $with $only" = "2 0 2" ] && grep --quiet '\[False, True\]' with-failed_when.out; then
    echo "as described"
else
    echo "changed"
    exit 1
fi
