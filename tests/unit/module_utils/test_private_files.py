"""Files with secrets: who may read them, where they are, and how long they are kept."""

import errno
import os
import stat
from pathlib import Path

import pytest
from ansible.module_utils.docker_ml_api import private_files
from ansible.module_utils.docker_ml_api.private_files import PrivateFilesError

NAME = f"docker-ml-api-{os.getuid()}"


@pytest.fixture
def environ(tmp_path):
    return {"XDG_RUNTIME_DIR": str(tmp_path)}


def test_only_the_user_may_read_it(environ, tmp_path):
    path = private_files.keep("secret", environ, prefix="one-")

    assert path == private_files.path_of("secret", environ, prefix="one-")
    assert path.read_text() == "secret"
    assert path.parent == tmp_path / NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert private_files.keep("secret", environ, prefix="one-") == path
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("run", ["", "1"])
def test_another_run_that_ends_meanwhile(environ, monkeypatch, run):
    """It removes the folder, which is still empty: that is not an error of this run."""
    make, ended = private_files._make_private, []

    def make_and_lose(folder):
        make(folder)
        if len(ended) < 3:
            ended.append(folder.rmdir())

    monkeypatch.setattr(private_files, "_make_private", make_and_lose)
    environ |= {private_files.RUN: run} if run else {}
    assert private_files.keep("secret", environ).read_text() == "secret"
    assert len(ended) == 3


def test_a_disk_that_is_full(environ, monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(private_files.tempfile, "mkstemp", refuse)
    with pytest.raises(PrivateFilesError, match=r"cannot be written \(No space left on device\)"):
        private_files.keep("secret", environ)


def test_a_folder_that_does_not_stay(environ, monkeypatch):
    monkeypatch.setattr(private_files, "_make_private", lambda _: None)
    with pytest.raises(PrivateFilesError, match="is removed again and again"):
        private_files.keep("secret", environ)


def test_what_is_found_by_a_key(environ, tmp_path):
    assert private_files.read("key", environ, prefix="one-") == ""
    path = private_files.keep("secret", environ, prefix="one-", key="key")
    assert path == private_files.path_of("key", environ, prefix="one-")
    assert private_files.read("key", environ, prefix="one-") == "secret"
    assert private_files.read("other", environ, prefix="one-") == ""
    private_files.keep("newer", environ, prefix="one-", key="key")
    assert private_files.read("key", environ, prefix="one-") == "newer"
    # What others may have written is not used.
    (tmp_path / NAME).chmod(0o777)
    assert private_files.read("key", environ, prefix="one-") == ""


def test_a_folder_that_others_can_read(environ, tmp_path):
    (tmp_path / NAME).mkdir(mode=0o755)
    with pytest.raises(PrivateFilesError, match="is not a folder of yours with mode 0700, as"):
        private_files.keep("secret", environ)


def test_a_folder_of_another_user(environ, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(PrivateFilesError, match="remove it"):
        private_files.keep("secret", environ)
    assert list((tmp_path / "docker-ml-api-12345").iterdir()) == []
    assert private_files.forget(environ, prefix="") == []


def test_a_folder_that_is_a_link(environ, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (elsewhere / "one").touch()
    (tmp_path / NAME).symlink_to(elsewhere)
    with pytest.raises(PrivateFilesError, match="remove it"):
        private_files.keep("secret", environ)
    assert private_files.forget(environ, prefix="") == []
    private_files.forget_run(environ)
    assert (elsewhere / "one").exists()


def test_only_what_has_the_prefix_is_forgotten(environ, tmp_path):
    mine, other = (private_files.keep("secret", environ, prefix=name) for name in ("a-", "b-"))
    assert private_files.forget(environ, prefix="a-") == [str(mine)]
    assert other.exists()
    assert private_files.forget(environ, prefix="b-") == [str(other)]
    assert list(tmp_path.iterdir()) == []
    assert private_files.forget(environ, prefix="b-") == []


def test_what_is_kept_for_a_run(environ, tmp_path):
    """It is deleted with the run; files of other runs stay, unless these were killed."""
    environ[private_files.RUN] = str(os.getpid())
    path = private_files.keep("secret", environ)
    assert path.parent.name == f"run-{os.getpid()}"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    lasting = private_files.keep("secret", environ, lasting=True)
    folder = lasting.parent
    assert folder == path.parent.parent
    # Process 1 is alive; 4194305 is above the maximum PID, and nonsense is not a PID.
    for run in ("1", "4194305", "nonsense"):
        (folder / f"run-{run}").mkdir()
        (folder / f"run-{run}" / "0").touch()
    private_files.forget_run(environ)
    assert sorted(one.name for one in folder.iterdir()) == sorted([lasting.name, "run-1"])
    private_files.forget_run({**environ, private_files.RUN: "1"})
    assert private_files.forget(environ, prefix="") == [str(lasting)]
    assert list(tmp_path.iterdir()) == []
    private_files.forget_run(environ)


def test_a_run_of_another_user_is_alive(environ, tmp_path, monkeypatch):
    def refuse(_process, _signal):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    private_files.keep("secret", {**environ, private_files.RUN: "7"})
    private_files.forget_run(environ)
    assert list(tmp_path.glob("*/run-7/*"))


def test_where_the_folder_is(monkeypatch, tmp_path):
    memory = Path("/dev/shm") / NAME  # noqa: S108 - nothing is written
    assert private_files.folder_for({}) == memory
    assert private_files.folder_for({"XDG_RUNTIME_DIR": "/nowhere"}) == memory
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) == tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert private_files.folder_for({}) == tmp_path / NAME
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PrivateFilesError, match="There is no folder for files with secrets: set T"):
        private_files.folder_for({})
    private_files.forget_run({})
