"""Reading, choosing and writing apt's sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ansible.module_utils.docker_ml_api.docker import apt_sources
from ansible.module_utils.docker_ml_api.docker.apt_sources import Source

if TYPE_CHECKING:
    from pathlib import Path

DEBIAN = "http://deb.example.org/debian"
KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            f"deb {DEBIAN} bookworm main contrib",
            [Source((DEBIAN,), ("bookworm",), ("main", "contrib"))],
            id="plain",
        ),
        pytest.param(
            f"deb [arch=amd64,arm64 signed-by={KEY} trusted=yes] {DEBIAN} bookworm main # ours",
            [
                Source(
                    (DEBIAN,),
                    ("bookworm",),
                    ("main",),
                    {"Architectures": "amd64 arm64", "Signed-By": KEY, "Trusted": "yes"},
                )
            ],
            id="options and a comment",
        ),
        pytest.param(
            f"deb [ arch=amd64 ] {DEBIAN} bookworm main",
            [Source((DEBIAN,), ("bookworm",), ("main",), {"Architectures": "amd64"})],
            id="spaces in the brackets",
        ),
        pytest.param("deb http://a/ ./", [Source(("http://a/",), ("./",), ())], id="flat"),
        pytest.param(f"deb-src {DEBIAN} bookworm main", [], id="source packages only"),
        pytest.param(f"# deb {DEBIAN} bookworm main\n\n", [], id="commented out"),
    ],
)
def test_one_line_sources(text, expected):
    assert apt_sources.parse(text, "sources.list") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            f"# a comment\nTypes: deb deb-src\nURIs: {DEBIAN} http://b/debian\n"
            f"Suites: bookworm bookworm-updates\n# another\nComponents: main\nSigned-By: {KEY}\n",
            [
                Source(
                    (DEBIAN, "http://b/debian"),
                    ("bookworm", "bookworm-updates"),
                    ("main",),
                    {"Signed-By": KEY},
                )
            ],
            id="Debian's own",
        ),
        pytest.param(
            f"types: deb\nuris: {DEBIAN}\nsuites: bookworm\ncomponents: main\n \n"
            "Types: deb\nURIs: http://x\nSuites: y\nComponents: main\nEnabled: no\n",
            [Source((DEBIAN,), ("bookworm",), ("main",))],
            id="any case, a disabled one after a blank line with a space",
        ),
        pytest.param(
            f"Types: deb\nURIs: {DEBIAN}\nSuites: bookworm\nComponents:\n main\n contrib\n",
            [Source((DEBIAN,), ("bookworm",), ("main", "contrib"))],
            id="continued lines",
        ),
        pytest.param(f"Types: deb-src\nURIs: {DEBIAN}\nSuites: bookworm\n", [], id="sources only"),
        pytest.param("Types: deb\nSuites: bookworm\n", [], id="no archive"),
        pytest.param("", [], id="empty"),
    ],
)
def test_deb822_sources(text, expected):
    assert apt_sources.parse(text, "debian.sources") == expected


def test_a_key_inside_the_file_keeps_its_lines():
    text = (
        "Types: deb\nURIs: http://a\nSuites: noble\nComponents: main\nSigned-By:\n"
        " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ==\n -----END PGP PUBLIC KEY BLOCK-----\n"
    )
    (source,) = apt_sources.parse_deb822(text)
    assert source.signed_by == ""
    assert apt_sources.parse_deb822(apt_sources.render([source], passwords=True)) == [source]


def test_a_host_with_both_formats_and_a_mirror_file(tmp_path: Path):
    mirrors = tmp_path / "mirrors/debian.list"
    mirrors.parent.mkdir()
    mirrors.write_text("# nearest first\n\nhttp://near/debian\tpriority:1\nhttp://far/debian\n")
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://a bookworm main\n")
    (parts / "b.sources").write_text(
        f"Types: deb\nURIs: mirror+file://{mirrors}\nSuites: bookworm\nComponents: main\n"
    )
    (parts / "c.list").write_text("deb mirror+file:/no/such/file bookworm main\n")
    (parts / "d.list.save").write_text("deb http://d bookworm main\n")
    found = [source.uris for source in apt_sources.read_host(tmp_path)]
    assert found == [("http://a",), ("http://near/debian",), ("mirror+file:/no/such/file",)]


def test_a_line_without_a_suite():
    with pytest.raises(
        ValueError, match=r"^'deb http://a' is not a line of apt's sources: it must"
    ):
        apt_sources.parse_one_line("deb http://a # b")


def test_a_host_without_sources(tmp_path: Path):
    assert apt_sources.read_host(tmp_path) == []


def test_a_mirror_file_that_names_none_is_left_to_apt(tmp_path: Path):
    (tmp_path / "empty").write_text("# none\n")
    (tmp_path / "sources.list").write_text(f"deb mirror+file:{tmp_path}/empty bookworm main\n")
    assert apt_sources.read_host(tmp_path)[0].uris == (f"mirror+file:{tmp_path}/empty",)


def test_origin_is_read_from_what_apt_fetched(tmp_path: Path):
    uri = "https://tom:secret@mirror.example.com/debian_all/"
    path = apt_sources.release_file(tmp_path, uri, "bookworm")
    assert path.name == "mirror.example.com_debian%5fall_dists_bookworm_InRelease"
    assert apt_sources.origin(tmp_path, uri, "bookworm") == ""
    path.write_text("-----BEGIN PGP SIGNED MESSAGE-----\n\nOrigin: Debian \nLabel: Debian\n")
    assert apt_sources.origin(tmp_path, uri, "bookworm") == "Debian"
    path.write_text("Label: none\n")
    assert apt_sources.origin(tmp_path, uri, "bookworm") == ""


SECURITY = "http://deb.example.org/debian-security"
HOST = [
    Source((DEBIAN,), ("bookworm", "bookworm-updates", "bookworm-backports"), ("main",)),
    Source((SECURITY,), ("bookworm-security",), ("main",)),
    Source(("https://download.docker.com/linux/debian",), ("bookworm",), ("stable",)),
    Source(("https://node.example.org/node_20.x",), ("nodistro",), ("main",)),
    Source(("cdrom:[Debian]/",), ("bookworm",), ("main",)),
]


@pytest.mark.parametrize(
    ("sources", "wanted", "absent", "expected"),
    [
        pytest.param(
            HOST,
            "bookworm",
            [],
            [(DEBIAN, "bookworm"), (DEBIAN, "bookworm-updates"), (SECURITY, "bookworm-security")],
            id="the host's own release",
        ),
        pytest.param(
            HOST,
            "trixie",
            [],
            [(DEBIAN, "trixie"), (DEBIAN, "trixie-updates"), (SECURITY, "trixie-security")],
            id="another release",
        ),
        pytest.param(
            HOST,
            "sid",
            ["sid-updates", "sid-security"],
            [(DEBIAN, "sid")],
            id="one without updates",
        ),
        pytest.param(
            [Source((DEBIAN,), ("stable", "stable-updates"), ("main",))],
            "bookworm",
            [],
            [(DEBIAN, "bookworm"), (DEBIAN, "bookworm-updates")],
            id="a host that follows stable",
        ),
        pytest.param(
            [
                Source((DEBIAN,), ("bookworm",), ("main",)),
                Source((SECURITY,), ("stable/updates",), ("main",)),
            ],
            "bookworm",
            [],
            [(DEBIAN, "bookworm"), (SECURITY, "bookworm-security")],
            id="the old name of the security suite",
        ),
    ],
)
def test_the_distributions_own_archives_are_chosen(tmp_path, sources, wanted, absent, expected):
    chosen = apt_sources.choose(
        sources,
        codename="bookworm",
        wanted=wanted,
        lists=tmp_path,
        exists=lambda _uri, suite: suite not in absent,
    )
    assert [(source.uris[0], source.suites[0]) for source in chosen] == expected


def test_ubuntus_archives(tmp_path: Path):
    archive, security = "http://archive.ubuntu.com/ubuntu/", "http://security.ubuntu.com/ubuntu/"
    text = "\n".join(
        f"Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main universe\n"
        "Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg\n"
        for uri, suites in (
            (archive, "noble noble-updates noble-backports"),
            (security, "noble-security"),
        )
    )
    chosen = apt_sources.choose(
        apt_sources.parse(text, "ubuntu.sources"),
        codename="noble",
        wanted="noble",
        lists=tmp_path,
        exists=lambda *_: False,
    )
    assert [(source.uris[0], source.suites[0]) for source in chosen] == [
        (archive, "noble"),
        (archive, "noble-updates"),
        (security, "noble-security"),
    ]
    assert chosen[0].components == ("main", "universe")


def test_other_vendors_are_left_out_by_their_origin(tmp_path: Path):
    other = Source(("https://apt.vendor.example",), ("bookworm",), ("main",))
    for uri, name in ((other.uris[0], "Vendor"), (DEBIAN, "Debian")):
        apt_sources.release_file(tmp_path, uri, "bookworm").write_text(f"Origin: {name}\n")
    known = {"codename": "bookworm", "wanted": "bookworm", "lists": tmp_path}
    chosen = apt_sources.choose([other, *HOST], exists=lambda *_: True, **known)
    assert other.uris not in [source.uris for source in chosen]
    # If no other source has the suite, it is taken for a mirror with another origin.
    assert apt_sources.choose([other], exists=lambda *_: True, **known) == [other]


def test_no_archive_of_the_release_is_an_error(tmp_path: Path):
    with pytest.raises(ValueError, match="no archive of noble"):
        apt_sources.choose(
            HOST, codename="noble", wanted="noble", lists=tmp_path, exists=lambda *_: True
        )


def test_passwords_are_only_written_for_the_build():
    source = Source(
        ("https://tom:secret@mirror.example.com:8443/debian",),
        ("bookworm",),
        ("main",),
        {"Signed-By": KEY},
    )
    assert source.signed_by == KEY
    shown = apt_sources.render([source, source], passwords=False)
    assert "secret" not in shown
    assert "tom" not in shown
    assert shown.count("URIs: https://mirror.example.com:8443/debian\n") == 2
    assert "tom:secret@" in apt_sources.render([source], passwords=True)
    assert apt_sources.parse_deb822(apt_sources.render([source], passwords=True)) == [source]
