import json

import pytest

from benchmarks.serving import plot, report
from benchmarks.serving.servers import KINDS, titles

OURS = {
    "cpu_us": [20.0, 30.0, 10.0],
    "rate": [40_000.0],
    "p99_ms_at_5000": [4.0],
    "memory_mb": [50.0],
    "start_s": [0.4],
    "installed_mb": [25.0],
    "batch_1000_ns": [400.0],
    "batch_10000_ns": [200.0],
    "stream_2500000_mb": [60.0],
    "stream_5000000_mb": [72.0],
}
LINEAR = {
    "ours": OURS,
    "go": {"cpu_us": [10.0]},
    "seed": {"cpu_us": [200.0]},
    "fastapi": {"cpu_us": [160.0], "batch_1000_ns": [800.0], "batch_10000_ns": [400.0]},
    "mlflow": {"cpu_us": [500.0], "batch_1000_ns": [8000.0], "batch_10000_ns": [4000.0]},
    "bentoml": {"cpu_us": [900.0], "batch_1000_ns": [9000.0], "batch_10000_ns": [9000.0]},
    "bentoml-batching": {"cpu_us": [500.0], "batch_1000_ns": [8000.0], "batch_10000_ns": [4000.0]},
    "litserve": {"cpu_us": [500.0]},
    "mlserver": {"cpu_us": [300.0]},
}
TREES = {
    "ours": {"cpu_us": [100.0]},
    "fastapi": {"cpu_us": [300.0]},
    "mlserver": {"cpu_us": [900.0]},
}
ALL_MET = {"linear": LINEAR, "forest": TREES, "mixed": TREES}


def changed(server, model="linear", **figures):
    rounds = json.loads(json.dumps(ALL_MET))
    rounds[model][server] |= {name: [value] for name, value in figures.items()}
    return rounds


def missed(rounds):
    return [one.sentence for one in report.verdicts(rounds) if one.met is False]


def test_all_targets_are_met_at_their_limits():
    assert missed(ALL_MET) == []
    assert all(one.met for one in report.verdicts(ALL_MET))


@pytest.mark.parametrize(
    ("rounds", "sentences"),
    [
        (changed("go", cpu_us=9.9), ["a prediction's CPU, times Go net/http's"]),
        (changed("seed", cpu_us=199), ["a prediction's CPU, times less than seed"]),
        (changed("fastapi", cpu_us=159), ["a prediction's CPU, times less than fastapi"]),
        (changed("mlflow", cpu_us=499), ["a prediction's CPU, times less than mlflow"]),
        (changed("bentoml", cpu_us=499), ["a prediction's CPU, times less than bentoml"]),
        (changed("bentoml-batching", cpu_us=499), ["a prediction's CPU, times less than bentoml"]),
        (changed("litserve", cpu_us=499), ["a prediction's CPU, times less than litserve"]),
        (changed("mlserver", cpu_us=299), ["a prediction's CPU, times less than mlserver"]),
        (changed("ours", p99_ms_at_5000=5.1), ["p99 at 5,000 requests a second, ms"]),
        (changed("mlserver", "forest", cpu_us=299),
         ["RandomForest: CPU, times less than the best peer"]),
        (changed("fastapi", "mixed", cpu_us=299),
         ["mixed Pipeline: CPU, times less than the best peer"]),
        (changed("ours", batch_1000_ns=401),
         ["1,000 rows: CPU, times less than the best peer",
          "1,000 rows: CPU, times less than mlflow", "1,000 rows: CPU, times less than bentoml"]),
        (changed("fastapi", batch_10000_ns=399),
         ["10,000 rows: CPU, times less than the best peer"]),
        (changed("ours", batch_1000_ns=199),
         ["CPU a row at 10,000 rows, times that at 1,000"]),
        (changed("ours", stream_5000000_mb=73),
         ["CSV of 5,000,000 rows: memory, times that of 2,500,000"]),
        (changed("ours", installed_mb=61), ["linear model: installed above Python, MB"]),
        (changed("ours", start_s=0.51), ["linear model: from start to first answer, s"]),
        (changed("ours", memory_mb=61), ["linear model: memory of 2 workers, MB"]),
    ],
)  # fmt: skip
def test_a_target_is_missed(rounds, sentences):
    assert missed(rounds) == sentences


@pytest.mark.parametrize(("name", "limit"), [("batch_1000_ns", 500), ("batch_10000_ns", 250)])
def test_limits_of_batches(name, limit):
    number = int(name.split("_")[1])
    sentence = f"{number:,} rows: CPU ns a row"
    assert sentence not in missed(changed("ours", **{name: limit}))
    assert sentence in missed(changed("ours", **{name: limit + 1}))


def test_what_was_left_out_is_not_measured():
    found = report.verdicts({"linear": {"ours": OURS}, "forest": {}, "mixed": {}})
    unknown = [one.sentence for one in found if one.met is None]
    assert "a prediction's CPU, times less than seed" in unknown
    assert "linear model: memory of 2 workers, MB" not in unknown
    assert not [one for one in found if one.met is False]
    assert {one.words for one in found} == {"met", "not measured"}


def test_tables_have_the_medians():
    tables = report.tables(ALL_MET, titles())
    assert [title for title, _, _ in tables] == [
        "Single predictions of a linear model",
        "Batches as JSON",
        "CSV",
        "Single predictions of a RandomForest",
        "Single predictions of a mixed-feature Pipeline",
        "What it must show",
    ]
    _, heads, rows = tables[0]
    assert rows[0][: heads.index("req/s") + 1] == ["docker-ml-api", "20", "40,000"]
    assert rows[1][heads.index("req/s")] == "-"
    # Servers that accept no batches are not in the table of batches.
    assert [row[0] for row in tables[1][2]] == [
        KINDS[name].title for name in LINEAR if "batch_1000_ns" in LINEAR[name]
    ]
    assert "| docker-ml-api | 20 | 40,000 |" in report.markdown(tables)
    assert report.text(tables).startswith("Single predictions of a linear model\n")
    assert ["linear model: memory of 2 workers, MB", "50.00", "≤ 60", "met"] in tables[-1][2]


def test_the_plot_has_the_same_bytes_and_leaves_out_what_was_not_measured(tmp_path, monkeypatch):
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"titles": titles(), "rounds": ALL_MET}), encoding="utf-8")
    pictures = []
    for name in ("a.svg", "b.svg"):
        monkeypatch.setattr("sys.argv", ["plot.py", str(results), str(tmp_path / name)])
        plot.main()
        pictures.append((tmp_path / name).read_bytes())
    assert pictures[0] == pictures[1]
    assert pictures[0].startswith(b"<?xml")
    figure = plot.draw(json.loads(results.read_text(encoding="utf-8")))
    bars = {axes.get_title(): len(axes.patches) for axes in figure.axes}
    assert bars["CPU of a prediction, µs"] == len(LINEAR)
    assert bars["memory, MB"] == 1
    assert not [head for head in bars if "p99" in head]


@pytest.mark.parametrize(
    ("value", "label"), [(12345.6, "12,346"), (10.0, "10"), (9.96, "10"), (1.234, "1.2")]
)
def test_labels(value, label):
    assert plot.label(value) == label
