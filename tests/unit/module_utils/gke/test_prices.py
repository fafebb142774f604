from datetime import date

import pytest
import yaml
from ansible.module_utils.docker_ml_api.gke import prices as gke_prices
from ansible.module_utils.docker_ml_api.gke.prices import PriceFileError, Prices, Source, parse

from support import ROOT

AMOUNT = "must be a number of dollars for"
OURS = ROOT / "roles/gke_cluster/files/prices.yml"


def a_file(*lists, **more):
    return {"lists": list(lists), **more}


GOOGLE = {
    "source": {"about": "Google", "url": "https://example.com/prices", "seen": date(2026, 1, 2)},
    "machine_hour": {"e2-small": {"here": 0.5, "there": 1}},
    "cluster_hour": {"fee": 0.1},
}
OWN = {"machine_hour": {"e2-small": {"here": 0.25}}, "external_ip_hour": {"spot": {"here": 0}}}

# What: kind, name, region; the amount and its source
FOUND = {
    "of its region": ("machine_hour", "e2-small", "there", 1, "Google"),
    "of the last list that has it": ("machine_hour", "e2-small", "here", 0.25, "own.yml"),
    "everywhere": ("cluster_hour", "fee", "anywhere", 0.1, "Google"),
    "for nothing": ("external_ip_hour", "spot", "here", 0, "own.yml"),
}


@pytest.mark.parametrize("case", FOUND)
def test_a_price_is_found(case):
    kind, name, region, amount, about = FOUND[case]
    prices = Prices(parse(a_file(GOOGLE), "prices.yml") + parse(a_file(OWN), "own.yml"))
    price = prices.find(kind, name, region)
    assert (price.amount, price.source.about) == (amount, about)


@pytest.mark.parametrize(
    ("kind", "name", "region"),
    [
        ("machine_hour", "e2-small", "elsewhere"),
        ("machine_hour", "e2-large", "here"),
        ("spot_machine_hour", "e2-small", "here"),
    ],
)
def test_a_price_that_nobody_says_is_none(kind, name, region):
    assert Prices(parse(a_file(GOOGLE), "prices.yml")).find(kind, name, region) is None


def test_where_a_list_has_a_price_for_a_region_and_a_later_one_everywhere():
    later = {"machine_hour": {"e2-small": 3}}
    prices = Prices(parse(a_file(GOOGLE, later), "prices.yml"))
    assert prices.find("machine_hour", "e2-small", "here").amount == 3


def test_a_source_in_a_line():
    (prices,) = parse(a_file(GOOGLE), "prices.yml")
    source = prices["cluster_hour", "fee", ""].source
    assert source == Source("Google", "https://example.com/prices", "2026-01-02")
    assert str(source) == "Google, https://example.com/prices, seen 2026-01-02"
    assert str(Source(about="own.yml")) == "own.yml"


# What: (file, its problems)
WRONG = {
    "another currency": (
        a_file(currency="EUR"),
        ["currency must be USD, it is 'EUR'"],
    ),
    "a key that it has not": (a_file(prices={}), ["it has prices beside currency and lists"]),
    "a list that is none": (a_file(3), ["lists[0] must be a mapping of a source and prices"]),
    "a source that is text": (
        a_file({"source": "Google"}),
        ["lists[0].source must be a mapping with about, url and seen"],
    ),
    "a source with another key": (
        a_file({"source": {"date": 1}}),
        ["lists[0].source must be a mapping with about, url and seen"],
    ),
    "a kind that is none": (
        a_file({"machines": {}}),
        ["lists[0].machines is no kind of price: use " + ", ".join(gke_prices.KINDS)],
    ),
    "a kind without names": (
        a_file({"machine_hour": 1}),
        ["lists[0].machine_hour must be a mapping of names and prices"],
    ),
    "amounts that are none": (
        a_file(
            GOOGLE,
            {
                "machine_hour": {"a": {"r": "0.5", "s": -1, "t": True, "u": float("nan")}},
                "cluster_hour": {"b": None},
            },
        ),
        [
            *(
                f"lists[1].machine_hour.a.{region} {AMOUNT} an hour of a machine, it is {amount}"
                for region, amount in {"r": "'0.5'", "s": -1, "t": True, "u": "nan"}.items()
            ),
            f"lists[1].cluster_hour.b {AMOUNT} an hour of a cluster, it is None",
        ],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file(case):
    document, problems = WRONG[case]
    with pytest.raises(PriceFileError) as error:
        parse(document, "own.yml")
    assert str(error.value).splitlines() == [f"Price file own.yml: {one}." for one in problems]


@pytest.mark.parametrize("document", [None, [], "lists", {}, {"lists": {}}])
def test_no_price_file(document):
    with pytest.raises(PriceFileError, match=r"own\.yml must be a mapping with lists, each with"):
        parse(document, "own.yml")


# Our own file


@pytest.fixture(scope="module")
def ours():
    return parse(yaml.safe_load(OURS.read_text()), "prices.yml")


def test_each_price_of_ours_has_a_source_that_people_can_look_up(ours):
    sources = {price.source for prices in ours for price in prices.values()}
    assert len(sources) == len(ours)
    for source in sources:
        assert source.url.startswith("https://")
        assert date.fromisoformat(source.seen) >= date(2025, 1, 1)
        assert source.about


def test_sizes_of_a_family_are_in_proportion(ours):
    """Google charges by vCPU and memory, so a typing error would be noticed."""
    sizes = {
        "e2-micro": ("e2-standard-2", 8),
        "e2-small": ("e2-standard-2", 4),
        "e2-medium": ("e2-standard-2", 2),
        "n1-standard-1": ("n1-standard-4", 4),
    } | {
        f"{family}-standard-{size}": (f"{family}-standard-4", 4 / size)
        for family, largest in (("e2", 32), ("n1", 32), ("n2", 48))
        for size in (2, 4, 8, 16, largest)
    }
    compared = 0
    for prices in ours:
        for (kind, name, region), price in prices.items():
            if kind == "machine_hour" and name in sizes:
                other, times = sizes[name]
                assert price.amount * times == pytest.approx(prices[kind, other, region].amount)
                compared += 1
    assert compared > 500


def test_prices_of_regions_are_alike(ours):
    """The most expensive region costs less than twice the cheapest one."""
    amounts = {}
    for prices in ours:
        for (kind, name, _), price in prices.items():
            amounts.setdefault((kind, name), []).append(price.amount)
    assert ("machine_hour", "e2-small") in amounts
    assert {key: max(found) / min(found) for key, found in amounts.items()} == {
        key: pytest.approx(1.4, abs=0.4) for key in amounts
    }


# From Google's price pages for machines and disks, often for the default region of these pages.
KNOWN = [
    ("machine_hour", "e2-small", "us-central1", 0.016752855),
    ("machine_hour", "e2-standard-2", "us-central1", 0.06701142),
    ("machine_hour", "e2-medium", "europe-west3", 0.04316778),
    ("machine_hour", "g1-small", "us-central1", 0.0257),
    ("machine_hour", "n1-standard-1", "us-central1", 0.04749975),
    ("machine_hour", "n2-standard-2", "us-central1", 0.097118),
    ("disk_gib_month", "pd-standard", "us-central1", 0.04),
    ("disk_gib_month", "pd-balanced", "europe-west3", 0.12),
    ("disk_gib_month", "pd-ssd", "us-central1", 0.17),
    ("cluster_hour", "fee", "asia-east1", 0.1),
    ("credit_month", "free_tier", "asia-east1", 74.4),
    ("external_ip_hour", "standard", "asia-east1", 0.005),
]


@pytest.mark.parametrize(("kind", "name", "region", "amount"), KNOWN)
def test_a_known_price(ours, kind, name, region, amount):
    assert Prices(ours).find(kind, name, region).amount == amount


def test_regions_whose_prices_changed_are_not_told_the_old_ones(ours):
    prices = Prices(ours)
    assert prices.find("machine_hour", "e2-small", "europe-central2") is None
    assert prices.find("machine_hour", "e2-small", "europe-west6").amount == 0.021945665
