import pytest

from benchmarks import figures


def test_table_puts_texts_left_and_figures_right():
    rows = [("site.yml", "12.50 s", 3), ("a", "1.00 s", "1,000")]
    assert figures.table(("", "median", "sent"), rows).splitlines() == [
        "           median   sent",
        "site.yml  12.50 s      3",
        "a          1.00 s  1,000",
    ]


def test_table_without_rows_is_its_heads():
    assert figures.table(("a", "bc"), []) == "a  bc"


@pytest.mark.parametrize("text", ["1,234", "2.5 ms", "9%", "1.30x", "-"])
def test_figure(text):
    assert figures._is_figure(text)


@pytest.mark.parametrize("text", ["", "v1.2.3", "hello", "1 read"])
def test_no_figure(text):
    assert not figures._is_figure(text)


def test_summary_has_the_medians_and_their_ratios_to_the_goal():
    times = {"ours": [6.0, 4.0, 5.0], "by hand": [4.0, 2.0]}
    assert figures.summary(times, "by hand").splitlines() == [
        "            min  median     max  ratio",
        "ours     4.00 s  5.00 s  6.00 s  1.67x",
        "by hand  2.00 s  3.00 s  4.00 s  1.00x",
    ]
    assert figures.ratio(times, "ours", "by hand") == pytest.approx(5 / 3)


def test_marginal_costs_are_those_of_each_further_one():
    assert figures.marginal_costs({50: 60.0, 1: 2.0, 10: 20.0}) == {(1, 10): 2.0, (10, 50): 1.0}


@pytest.mark.parametrize(
    ("seconds", "faster"),
    [
        pytest.param({1: 10.0, 10: 19.0, 50: 59.0, 100: 109.0}, False, id="linear"),
        pytest.param({1: 10.0, 10: 19.0, 50: 30.0, 100: 40.0}, False, id="less"),
        pytest.param({1: 10.0, 10: 10.0, 50: 10.0, 100: 10.0}, False, id="constant"),
        pytest.param({1: 10.0, 10: 10.1, 50: 9.5, 100: 11.0}, False, id="noise"),
        pytest.param({1: 17.0, 10: 19.0, 50: 43.0, 100: 73.0}, False, id="first few hidden"),
        pytest.param({1: 17.0, 10: 19.0, 50: 43.0}, False, id="no step to compare"),
        pytest.param({10: 5.0}, False, id="one count"),
        pytest.param({1: 1.0, 10: 100.0, 50: 2500.0}, True, id="quadratic"),
        pytest.param({1: 8.0, 10: 8.5, 50: 20.5, 100: 58.0}, True, id="quadratic and a constant"),
        pytest.param({1: 10.0, 10: 19.0, 50: 18.0, 100: 21.0}, True, id="fell, then rose"),
    ],
)
def test_growth(seconds, faster):
    assert figures.grows_faster_than_linear(seconds) is faster


def test_slowest_adds_up_the_tasks_of_a_name():
    tasks = [("a", 1.0), ("b", 3.0), ("a", 2.5), ("c", 0.1)]
    assert figures.slowest(tasks, 2) == [("a", 3.5), ("b", 3.0)]
