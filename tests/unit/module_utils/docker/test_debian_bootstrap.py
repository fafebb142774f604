"""Recipes, and builds by a real mmdebstrap or by a script in its place."""

from __future__ import annotations

import dataclasses
import fcntl
import http.server
import os
import re
import subprocess
import tarfile
import threading
import time
from pathlib import Path

import pytest
from ansible.module_utils.docker_ml_api.docker import debian_bootstrap
from ansible.module_utils.docker_ml_api.docker.debian_bootstrap import BuildError, Host, Recipe
from ansible.module_utils.docker_ml_api.docker.local_images import RECIPE_LABEL

from support import loopback

TINY = Recipe("bookworm", variant="extract", packages=("busybox-static",))
BOOKWORM = {"ID": "debian", "VERSION_CODENAME": "bookworm", "PRETTY_NAME": "Debian 12"}


def changed(field: str) -> object:
    """Another value for a field of a recipe."""
    kinds = {"labels": {"a": "b"}, "environment": {"A": "b"}}
    scalars = {"suite", "variant", "generation", "user", "working_directory", "stop_signal"}
    return kinds.get(field, "other" if field in scalars else ("other",))


FIELDS = [field.name for field in dataclasses.fields(Recipe)]
OF_THE_IMAGE_ONLY = {
    "environment",
    "entrypoint",
    "command",
    "user",
    "working_directory",
    "stop_signal",
    "labels",
}


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_counts(field):
    other = dataclasses.replace(TINY, **{field: changed(field)})
    assert other.digest != TINY.digest
    assert (other.root_digest == TINY.root_digest) == (field in OF_THE_IMAGE_ONLY)


def test_the_format_counts(monkeypatch):
    before = TINY.digest
    monkeypatch.setattr(debian_bootstrap, "FORMAT", debian_bootstrap.FORMAT + 1)
    assert TINY.digest != before


def test_the_order_of_packages_does_not_count():
    one = Recipe("bookworm", packages=("a", "b"))
    assert one.digest == Recipe("bookworm", packages=("b", "a", "a")).digest
    assert one.digest != Recipe("bookworm", packages=("a", "c")).digest


def test_options_there_and_back():
    options = {"packages": ["a"], "labels": {"n": 1}, "user": None, "generation": 3}
    recipe = Recipe.from_options("trixie", options)
    assert recipe == Recipe("trixie", packages=("a",), labels={"n": "1"}, generation="3")
    again = recipe.options()
    assert Recipe.from_options(again.pop("suite"), again) == recipe


@pytest.mark.parametrize(
    ("options", "message"),
    [({"packges": []}, "unknown field 'packges'"), ({"variant": "x"}, "unknown variant 'x'")],
)
def test_options_that_no_recipe_has(options, message):
    with pytest.raises(ValueError, match=message):
        Recipe.from_options("trixie", options)


def test_changes_are_dockerfile_instructions():
    recipe = Recipe(
        "bookworm",
        environment={"A": 'say "$HOME"\\'},
        entrypoint=("/bin/a b", "c"),
        command=("d",),
        user="65532:65532",
        working_directory="/w",
        stop_signal="SIGRTMIN+3",
        labels={"a": "b"},
    )
    assert recipe.changes() == [
        r'ENV A="say \"\$HOME\"\\"',
        'ENTRYPOINT ["/bin/a b", "c"]',
        'CMD ["d"]',
        "USER 65532:65532",
        "WORKDIR /w",
        "STOPSIGNAL SIGRTMIN+3",
        'LABEL "a"="b"',
        f'LABEL "{RECIPE_LABEL}"="{recipe.digest}"',
    ]
    assert len(TINY.changes()) == 1


def host(tmp_path: Path, release: str = "", sources: str = "") -> Host:
    """Return a host that has only these files."""
    (tmp_path / "etc/apt").mkdir(parents=True)
    if release:
        (tmp_path / "etc/os-release").write_text(release)
    if sources:
        (tmp_path / "etc/apt/sources.list").write_text(sources)
    return Host.read(tmp_path)


@pytest.mark.parametrize(
    ("release", "codename", "possible"),
    [
        ('ID=debian\nVERSION_CODENAME=bookworm\n# c\nPRETTY_NAME="Debian 12"', "bookworm", True),
        ("ID=ubuntu\nID_LIKE=debian\nUBUNTU_CODENAME=noble", "noble", True),
        (
            'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble',
            "noble",
            True,
        ),
        ('ID=fedora\nVERSION_ID=42\nPRETTY_NAME="Fedora 42"', "", False),
        ("", "", False),
    ],
)
def test_hosts(tmp_path, release, codename, possible):
    found = host(tmp_path, release)
    assert found.codename == codename
    if possible:
        found.check()
    else:
        with pytest.raises(BuildError, match="neither Debian nor Ubuntu"):
            found.check()


def on_path(monkeypatch, folder: Path, **scripts: str) -> None:
    """Put these scripts first on PATH, in place of the real programs of the same names."""
    folder.mkdir(exist_ok=True)
    for name, body in scripts.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("policy", "fetched", "obstacle"),
    [
        ("mmdebstrap:\n  Installed: (none)\n  Candidate: 1.3.5-7", True, ""),
        ("mmdebstrap:\n  Installed: (none)\n  Candidate: (none)", True, "nor in its package"),
        ("", True, "nor in its package sources"),
        ("", False, ""),
    ],
)
def test_a_host_without_mmdebstrap(monkeypatch, tmp_path, policy, fetched, obstacle):
    programs = tmp_path / "bin"
    on_path(monkeypatch, programs, apt_cache=f"cat <<END\n{policy}\nEND")
    for name in ("cat", "sh"):
        (programs / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(programs))
    found = host(tmp_path, "ID=debian\nVERSION_CODENAME=bookworm\n")
    if fetched:
        found.lists.mkdir(parents=True)
        (found.lists / "a_Packages.lz4").touch()
    said = found.obstacle(installable=True)
    assert (obstacle in said) if obstacle else not said
    with pytest.raises(BuildError, match="mmdebstrap is not installed on this host"):
        found.check()


def test_apts_settings_are_what_apt_understands(tmp_path: Path):
    dump = (
        'APT::Architecture "arm64";\nAcquire::http::Proxy "http://old:1";\n'
        'Acquire::Check-Date "false";\nAcquire::Languages:: "none";\nAcquire::Retries "3";\n'
        'Acquire::https::mirror.example.com::CAInfo "/ca.pem";\nDPkg::Post-Invoke:: "rm -rf /";\n'
    )
    conf = tmp_path / "apt.conf"
    conf.write_text(
        debian_bootstrap.apt_settings(
            dump,
            etc_apt=Path("/etc/apt"),
            ca_bundle="/corporate.pem",
            proxies={"http": "http://tom:s@p:1", "https": ""},
        )
    )
    understood = subprocess.run(
        ["apt-config", "dump"],
        env={**os.environ, "APT_CONFIG": str(conf)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for line in (
        'Acquire::http::Proxy "http://tom:s@p:1";',
        'Acquire::https::CAInfo "/corporate.pem";',
        'Acquire::https::mirror.example.com::CAInfo "/ca.pem";',
        'Acquire::Retries "3";',
        'Dir::Etc::netrc "/etc/apt/auth.conf";',
    ):
        assert line in understood
    assert "Languages" not in conf.read_text()
    assert "Post-Invoke" not in conf.read_text()
    assert "APT::Architecture" not in conf.read_text()


def test_proxies():
    options = {"http_proxy": "http://p", "https_proxy": None, "no_proxy": "", "cli": "docker"}
    assert debian_bootstrap.proxies(options) == {"http_proxy": "http://p"}


@pytest.mark.parametrize(
    ("variant", "hook"), [("extract", "--extract-hook"), ("minbase", "--customize-hook")]
)
def test_commands_run_in_the_last_hook_that_the_variant_has(tmp_path, variant, hook):
    recipe = Recipe(
        "bookworm",
        variant=variant,
        packages=("a",),
        excluded_paths=("/usr/share/doc/*",),
        setup_commands=("first",),
        essential_commands=("second",),
        commands=("third",),
    )
    argv = debian_bootstrap.command_line(
        recipe, tar=Path("/t.tar"), scratch=tmp_path, uris=["file:///mirror"]
    )
    assert argv[-3:] == ["bookworm", "/t.tar", f"{tmp_path}/build.sources"]
    assert [f"{hook}=third", f'{hook}=sh {tmp_path}/finish.sh "$1"'] == argv[-5:-3]
    for option in (
        f"--variant={variant}",
        "--include=a",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--setup-hook=first",
        "--essential-hook=second",
        "--hook-dir=/usr/share/mmdebstrap/hooks/file-mirror-automount",
    ):
        assert option in argv
    remote = debian_bootstrap.command_line(
        TINY, tar=Path("/t"), scratch=tmp_path, uris=["http://a"]
    )
    assert not [option for option in remote if option.startswith("--hook-dir")]
    assert not [option for option in remote if "dpkg.cfg.d" in option]


def test_what_is_excluded_is_removed_from_what_was_unpacked_whole(tmp_path):
    """The hooks as mmdebstrap calls them: before anything is unpacked, and after."""
    excluded = ("/usr/share/doc/*", "/usr/share/it's/?[ab]", "/usr/share/locale/*/LC_*/*.mo")
    before, after = debian_bootstrap.unfiltered_unpacking(excluded)
    root = tmp_path / "root"
    settings = root / debian_bootstrap.DPKG_SETTINGS
    settings.parent.mkdir(parents=True)
    settings.write_text("as it was")

    def call(option, name):
        kind, command = option.split("=", 1)
        assert kind == f"--{name}-hook"
        subprocess.run(["sh", "-c", command, "exec", root], check=True)

    call(before, "setup")
    assert not settings.exists()
    (elsewhere,) = settings.parent.iterdir()
    assert re.fullmatch("[A-Za-z0-9_-]+", elsewhere.name)  # dpkg ignores other names
    share = root / "usr/share"
    kept = {"doc", "it's", "it's/xc", "it's/xxa", "locale", "locale/de", "locale/de/a.mo"}
    gone = {"doc/a", "doc/a/.b", "doc/link", "it's/xa", "locale/de/LC_X", "locale/de/LC_X/a.mo"}
    for name in sorted(kept | gone):
        path = share / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("link"):
            path.symlink_to("/nowhere")
        elif any(other.startswith(f"{name}/") for other in kept | gone) or name == "doc":
            path.mkdir()
        else:
            path.write_text("")
    call(after, "extract")
    assert [path.name for path in settings.parent.iterdir()] == [settings.name]
    assert settings.read_text() == "as it was"
    left = {str(path.relative_to(share)) for path in share.rglob("*")}
    # A folder is excluded only if its own path matches.
    assert left == kept | {"locale/de/LC_X"}


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (
            (
                "I: running\nE: Unable to locate package nosuch\nE: apt-get install failed\n"
                "E: setup failed: E: apt-get failed"
            ),
            "Unable to locate package nosuch",
        ),
        ("E: setup failed", "setup failed"),
        ("sh: 1: nosuch: not found\n\n", "sh: 1: nosuch: not found"),
        ("", "it said nothing"),
    ],
)
def test_the_reason_is_the_error_that_tells_most(log, expected):
    assert debian_bootstrap.reason(log) == expected


# Replaces mmdebstrap: records its arguments and the content of its files, and writes the tar,
# its second to last argument.
FAKE = r"""
for argument in "$@"; do
  case $argument in --aptopt=*) cat "${argument#--aptopt=}" > "$NOTES/apt.conf";; esac
  printf '%s\n' "$argument" >> "$NOTES/argv"
  before=$target; target=$last; last=$argument
done
cat "$last" > "$NOTES/sources"
stat -c %a "$last" "$TMPDIR" > "$NOTES/modes"
env > "$NOTES/env"
printf tar > "$target"
"""


def build(recipe: Recipe, cache: Path, on: Host, **options: object) -> Path:
    """Bootstrap with settings that do not matter."""
    settings = {"ca_bundle": "", "environment": {}, "timeout": 60.0} | options
    return debian_bootstrap.bootstrap(recipe, cache, host=on, **settings)


MIRROR = "deb https://tom:secret@mirror.example.com/debian bookworm main\n"


def test_a_build_gets_the_hosts_ways_and_hides_its_passwords(monkeypatch, tmp_path):
    on_path(monkeypatch, tmp_path / "bin", mmdebstrap=FAKE)
    monkeypatch.setenv("NOTES", str(tmp_path))
    cache = tmp_path / "a/cache"
    tar = build(
        TINY,
        cache,
        host(tmp_path, "ID=debian\nVERSION_CODENAME=bookworm\n", MIRROR),
        ca_bundle="/corporate.pem",
        environment={"http_proxy": "http://bob:hidden@proxy:3128", "no_proxy": "localhost"},
    )
    assert tar == TINY.tar(cache)
    assert tar.read_text() == "tar"
    assert oct(tar.stat().st_mode & 0o777) == "0o644"
    assert sorted(path.name for path in cache.iterdir()) == [".lock", tar.name]
    argv = (tmp_path / "argv").read_text()
    assert "hidden" not in argv
    assert "secret" not in argv
    assert "tom:secret@mirror.example.com" in (tmp_path / "sources").read_text()
    assert (
        'Acquire::http::Proxy "http://bob:hidden@proxy:3128";'
        in (tmp_path / "apt.conf").read_text()
    )
    assert (tmp_path / "modes").read_text().split() == ["600", "711"]
    environment = (tmp_path / "env").read_text().splitlines()
    assert "no_proxy=localhost" in environment
    assert any(line.startswith(f"TMPDIR={cache}/.build-") for line in environment)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'E: Unable to locate package x' >&2; exit 25", "locate package x$"),
        ("exit 25", "could not make the image from bookworm: it said nothing$"),
    ],
)
def test_a_failed_build_leaves_nothing(monkeypatch, tmp_path, script, message):
    on_path(monkeypatch, tmp_path / "bin", mmdebstrap=script)
    cache = tmp_path / "cache"
    with pytest.raises(BuildError, match=message) as error:
        build(TINY, cache, Host(BOOKWORM, Path("/")))
    assert ("Unable" in error.value.log) == ("Unable" in script)
    assert [path.name for path in cache.iterdir()] == [".lock"]


def test_a_build_that_hangs_is_ended_with_all_its_children(monkeypatch, tmp_path):
    on_path(monkeypatch, tmp_path / "bin", mmdebstrap='sleep 600 & echo $! > "$NOTES/pid"; wait')
    monkeypatch.setenv("NOTES", str(tmp_path))
    os.mkfifo(tmp_path / "pid")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pid").read_text()))
    reader.start()
    # Long enough to start it on a busy machine: its PID is read below.
    with pytest.raises(BuildError, match="was not done within 5 seconds"):
        build(TINY, tmp_path / "cache", Host(BOOKWORM, Path("/")), timeout=5.0)
    reader.join()
    # It was told to end before the build's error was raised, but may end some time later.
    assert ends(Path(f"/proc/{read[0].strip()}/status"))


def ends(status):
    """Return whether a process ends soon: gone, or a zombie that its new parent has not reaped."""
    for _ in range(6000):
        try:
            if "State:\tZ" in status.read_text():
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_what_a_killed_build_left_is_removed_and_a_running_one_is_not(tmp_path: Path):
    for name in ("killed", "runs", "strange"):
        (tmp_path / f".build-{name}").mkdir()
    (tmp_path / ".build-killed/lock").touch()
    with (tmp_path / ".build-runs/lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        debian_bootstrap.clear_stale(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".build-runs", ".build-strange"]


class Archive(http.server.BaseHTTPRequestHandler):
    """An archive that has one suite, and fails for another."""

    def do_GET(self):
        status = {"/debian/dists/here/InRelease": 200, "/debian/dists/broken/InRelease": 500}
        self.send_response(status.get(self.path, 404))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args):
        """Log nothing."""


@pytest.fixture
def archive():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Archive)
    with loopback.answering(server):
        yield f"http://127.0.0.1:{server.server_port}/debian"


def test_an_archive_is_asked_for_a_suite(tmp_path, archive):
    conf = tmp_path / "apt.conf"
    conf.write_text('Acquire::Retries "0";')
    env = {**os.environ, "APT_CONFIG": str(conf)}

    def ask(uri, suite):
        return debian_bootstrap.has_suite(uri, suite, scratch=tmp_path, env=env)

    assert ask(archive, "here")
    assert ask(f"{archive}/", "here")
    assert not ask(archive, "nosuch")
    with pytest.raises(BuildError, match=f"{archive}/dists/broken/InRelease could not be fetched"):
        ask(archive, "broken")
    with pytest.raises(BuildError, match="could not be fetched"):
        ask("http://127.0.0.1:1/debian", "here")


def test_an_archive_that_says_nothing(tmp_path, monkeypatch):
    helper = tmp_path / "apt-helper"
    helper.write_text("#!/bin/sh\nexec sleep 600\n")
    helper.chmod(0o700)
    monkeypatch.setattr(debian_bootstrap, "APT_HELPER", str(helper))
    monkeypatch.setattr(debian_bootstrap, "DOWNLOAD_TIMEOUT", 0.1)
    with pytest.raises(BuildError) as caught:
        debian_bootstrap.has_suite("http://tom:secret@a/debian", "b", scratch=tmp_path, env={})
    url = "http://a/debian/dists/b/InRelease"
    assert str(caught.value) == f"{url} was not fetched within 0.1 seconds"


def test_another_suite_takes_the_updates_that_exist(tmp_path, archive):
    line = f"deb {archive} bookworm main\ndeb {archive} bookworm-updates main\n"
    on = host(tmp_path, "ID=debian\nVERSION_CODENAME=bookworm\n", line)
    found = on.sources(Recipe("here"), scratch=tmp_path, env=os.environ)
    assert [source.suites for source in found] == [("here",)]


def test_sources_of_the_recipe_go_before_the_hosts(tmp_path):
    on = host(tmp_path, "ID=debian\nVERSION_CODENAME=bookworm\n", MIRROR)
    recipe = Recipe("trixie", sources=("deb http://a trixie main", "deb http://b trixie main"))
    found = on.sources(recipe, scratch=tmp_path, env=os.environ)
    assert [source.uris for source in found] == [("http://a",), ("http://b",)]


def test_a_host_without_archives_cannot_build(tmp_path):
    on = host(tmp_path, "ID=debian\nVERSION_CODENAME=bookworm\n")
    with pytest.raises(BuildError, match="no archive of bookworm"):
        on.sources(Recipe("bookworm"), scratch=tmp_path, env=os.environ)


def test_the_finishing_script_leaves_nothing_of_the_host(tmp_path):
    root, key = tmp_path / "root", tmp_path / "corporate key.gpg"
    key.write_text("key")
    for path in (
        "etc/apt/apt.conf.d/99mmdebstrap",
        "etc/apt/sources.list",
        "etc/apt/sources.list.d/0000build.sources",
        "etc/resolv.conf",
        "etc/hostname",
        "usr/bin/apt-get",
        "var/lib/dpkg/status-old",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    (tmp_path / "image.sources").write_text("Types: deb\n")
    script = tmp_path / "finish.sh"
    script.write_text(debian_bootstrap.finishing_script(tmp_path, [str(key)]))
    subprocess.run(["sh", str(script), str(root)], check=True)
    left = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert left == sorted(
        [
            "etc/apt/sources.list.d/distribution.sources",
            "usr/bin/apt-get",
            str(key).removeprefix("/"),
        ]
    )
    (root / "usr/bin/apt-get").unlink()
    (root / "etc/apt/sources.list.d/distribution.sources").unlink()
    subprocess.run(["sh", str(script), str(root)], check=True)
    assert not list((root / "etc/apt/sources.list.d").iterdir())


def test_a_real_build(tmp_path: Path):
    recipe = dataclasses.replace(TINY, suite=Host.read().codename, commands=('touch "$1/mark"',))
    tar = build(recipe, tmp_path, Host.read())
    with tarfile.open(tar) as archive:
        names = archive.getnames()
    assert "./mark" in names
    assert any(name.endswith("bin/busybox") for name in names)
    for name in ("./etc/hostname", "./etc/resolv.conf", "./etc/apt/apt.conf.d/99mmdebstrap"):
        assert name not in names


def test_a_real_build_of_a_package_that_is_not_there(tmp_path: Path):
    recipe = dataclasses.replace(TINY, suite=Host.read().codename, packages=("no-such-package",))
    with pytest.raises(BuildError, match="no-such-package"):
        build(recipe, tmp_path, Host.read())
