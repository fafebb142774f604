"""The output in docs/output.md is that of real runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from support import ROOT

if TYPE_CHECKING:
    from support.site_yml import Site

DOCUMENT = (ROOT / "docs" / "output.md").read_text(encoding="utf-8")
SHOWN = dict(re.findall(r"^## ([^\n]+)\n.*?```\n(.*?)```$", DOCUMENT, re.DOTALL | re.MULTILINE))
SECONDS = re.compile(r" \(\d+\.\d s\)")
MOMENTS = re.compile(r"\b\d+(\.\d+)? ms\b")


def plain(text: str) -> list[str]:
    """Return the lines, without durations, which differ from run to run."""
    return MOMENTS.sub("1 ms", SECONDS.sub("", text)).splitlines()


def usual(site: Site, text: str) -> list[str]:
    """Return the output of a run of this set, with the names and ports that users see."""
    names = {site.prefix: "", str(site.folder): "/home/ada/docker-ml-api"}
    names |= {str(port): usual for port, usual in zip(site.ports, ("8080", "9000"), strict=True)}
    for own, usual in names.items():
        text = text.replace(own, usual)
    return plain(text)


def change(site: Site) -> None:
    """Change a file of the service, but not its behavior."""
    path = site.folder / "model" / "service" / "serving" / "settings.py"
    path.write_text(f"{path.read_text()}# changed\n")


# Each run depends on those before it.
RUNS = {
    "Check mode": (["--check"], 0),
    "The main job": ([], 0),
    "Nothing to do": ([], 0),
    "One change": ([], 0),
    "A failure": (["--extra-vars=base_images_source=hub"], 2),
}


def test_the_runs(site: Site) -> None:
    assert [*SHOWN] == [*RUNS]
    for name, (arguments, status) in RUNS.items():
        if name == "One change":
            change(site)
        ended, text = site.show(*arguments)
        assert (name, ended, usual(site, text)) == (name, status, plain(SHOWN[name]))


@pytest.mark.parametrize("name", RUNS)
def test_they_fit_on_a_screen(name: str) -> None:
    assert len(SHOWN[name].splitlines()) <= 25
