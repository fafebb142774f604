"""scripts/apt-install while others use apt; with replacements for apt-get and dpkg-query."""

import fcntl
import os
import subprocess

import pytest

from support import ROOT

PROGRAM = ROOT / "scripts" / "apt-install"
# Like apt 2.6: if another process has locked the package lists, it fails at once.
APT_GET = """\
#!/bin/sh
for last; do case $last in update|install) what=$last;; esac; done
echo "$what" >> {folder}/calls
[ "$what" = update ] || {{ echo "$last" >> {folder}/installed; exit 0; }}
exec 9> {folder}/lock
flock --nonblock 9 || {{
    echo "E: Could not get lock {folder}/lists/lock. It is held by process 1 (apt-get)" >&2
    exit 100
}}
{update}
"""


@pytest.fixture
def installing(tmp_path, monkeypatch):
    """Return a function that starts scripts/apt-install; `update`: what `apt-get update` runs."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def start(update=":"):
        scripts = {
            "apt-get": APT_GET.format(folder=tmp_path, update=update),
            "dpkg-query": f"#!/bin/sh\nfor last; do :; done\ngrep -qx $last {tmp_path}/installed "
            "&& echo installed\n",
            "sudo": '#!/bin/sh\nexec "$@"\n',
        }
        for name, script in scripts.items():
            (tmp_path / name).write_text(script)
            (tmp_path / name).chmod(0o755)
        (tmp_path / "installed").touch()
        return subprocess.Popen([PROGRAM, "hello"], stderr=subprocess.PIPE, text=True)

    return start


def calls(folder):
    return (folder / "calls").read_text().split()


def test_lists_that_somebody_updates_are_waited_for(tmp_path, installing):
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = installing()
        # A second call means that the first one has failed.
        while not (tmp_path / "calls").exists() or len(calls(tmp_path)) < 2:
            assert process.poll() is None
    said = process.communicate()[1]
    assert (process.returncode, said) == (0, "")
    *updates, install = calls(tmp_path)
    assert {*updates} == {"update"}
    assert install == "install"
    assert (tmp_path / "installed").read_text() == "hello\n"

    again = installing()
    assert again.communicate() == (None, "")
    assert calls(tmp_path) == [*updates, install]


def test_another_failure_is_told_at_once(tmp_path, installing):
    process = installing("echo 'E: no network' >&2; exit 100")
    said = process.communicate()[1]
    assert process.returncode == 1
    assert said == (
        "E: no network\napt-install: hello cannot be installed: apt-get update failed\n"
    )
    assert calls(tmp_path) == ["update"]
