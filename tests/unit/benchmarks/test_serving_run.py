import argparse
import re
import subprocess
from pathlib import Path

import pytest

from benchmarks.serving import __main__ as serving
from benchmarks.serving import environments, preparation, servers
from benchmarks.serving.errors import MeasurementError
from model.service.training import Training

PEERS = servers.PEERS


@pytest.mark.parametrize(
    ("available", "split"),
    [
        ([3, 1, 0, 2], ([0, 1], [2, 3])),
        (range(8), ([0, 1], [2, 3, 4, 5, 6, 7])),
        ([0, 1, 2], ([], [])),
        ([0], ([], [])),
    ],
)
def test_servers_and_load_have_their_own_cpus_if_there_are_enough(available, split):
    assert serving.split_cpus(list(available)) == split


def test_each_round_begins_with_another():
    assert [serving.order("abc", number) for number in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]


def test_peers_are_a_list():
    assert serving.peers("go,fastapi,go") == ["go", "fastapi"]
    assert serving.peers("") == []


@pytest.mark.parametrize("text", ["go,tomcat", "ours"])
def test_a_peer_nobody_knows(text):
    with pytest.raises(argparse.ArgumentTypeError, match="known are seed, mlflow"):
        serving.peers(text)


@pytest.mark.parametrize("text", ["0", "61", "-1", "1.5", ""])
def test_a_measurement_has_a_length(text):
    with pytest.raises(argparse.ArgumentTypeError, match="whole number from 1 to 60"):
        serving.up_to(60)(text)
    assert serving.up_to(60)("60") == 60


def test_contestants_are_those_who_serve_a_model():
    assert serving.contestants(["ours", "go"]) == [
        ("linear", "ours"),
        ("forest", "ours"),
        ("mixed", "ours"),
        ("linear", "go"),
    ]


@pytest.mark.parametrize("form", ["coefficients", "onnx", "estimator"])
def test_each_form_is_served_with_what_its_image_has(form):
    model = preparation.Prepared(Path(), form, {}, [], [])
    name = serving.environment_name(servers.KINDS["ours"], model)
    files = environments.requirements(name)
    assert files[0] == environments.MODEL / "requirements.txt"
    assert [file.name for file in files[1:]] == (
        [] if form == "coefficients" else [f"requirements-{form}.txt"]
    )
    assert all(file.is_file() for file in files)


def pinned(file):
    text = file.read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", sorted(path.name for path in PEERS.iterdir() if path.is_dir()))
def test_peers_are_locked_with_the_models_scikit_learn(name):
    (file,) = environments.requirements(name)
    assert "--hash=sha256:" in file.read_text(encoding="utf-8")
    ours = pinned(environments.MODEL / "requirements-compile.txt")
    assert pinned(file)["scikit-learn"] == ours["scikit-learn"]
    assert name in {kind.environment for kind in servers.KINDS.values()}


@pytest.mark.parametrize("model", [servers.FOREST, servers.MIXED])
def test_models_that_stand_in_for_train(model):
    path = environments.SERVING / "trainings" / f"{model}.py"
    code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
    names = {}
    exec(code, names)  # noqa: S102 - it replaces train.py in a copy of the project
    training = names["train"]()
    assert isinstance(training, Training)
    assert all(training.metrics[name] >= floor for name, floor in training.floors.items())


@pytest.fixture
def place(tmp_path):
    return servers.Place(tmp_path / "env", tmp_path / "prepared", tmp_path, 8123, servers.LINEAR)


@pytest.mark.parametrize("name", ["ours", "bentoml", "mlserver", "litserve", "fastapi", "go"])
def test_servers_listen_on_their_port_with_two_workers_and_tell_nobody(name, place):
    start = servers.KINDS[name].start(place)
    variables = place.variables | dict(start.variables)
    said = " ".join([*start.command, *(f"{key}={value}" for key, value in variables.items())])
    assert "8123" in said
    assert "0.0.0.0" not in said  # noqa: S104 - it must not be
    assert variables["DO_NOT_TRACK"] == "1"
    assert variables["WORKERS"] == "2"


def test_nginx_is_configured_for_one_run(place, monkeypatch):
    monkeypatch.setattr(servers, "nginx", lambda: "/usr/sbin/nginx")
    start = servers.KINDS["seed"].start(place)
    text = (place.folder / "nginx.conf").read_text(encoding="utf-8")
    assert start.command[-1] == "/usr/sbin/nginx"
    assert "listen 127.0.0.1:8123;" in text
    assert "'$remote_addr - $remote_user [$time_local]" in text
    assert "${" not in text


def test_nginx_is_missing(monkeypatch):
    monkeypatch.setattr(servers.shutil, "which", lambda *_, **__: None)
    with pytest.raises(MeasurementError, match="scripts/setup-serving, or leave seed out"):
        servers.nginx()


@pytest.fixture
def requirements(tmp_path, monkeypatch):
    """Make an empty file the requirements of every environment; return it."""
    file = tmp_path / "requirements.txt"
    file.touch()
    monkeypatch.setattr(environments, "requirements", lambda _: [file])
    return file


def test_an_environment_is_made_once_and_anew_when_its_requirements_change(tmp_path, requirements):
    cache = tmp_path / "cache"
    said = []
    first = environments.ensure_environment(cache, "go-kart", said.append)
    assert environments.ensure_environment(cache, "go-kart", said.append) == first
    assert said == ["Installing go-kart …"]
    subprocess.run([first / "bin" / "python", "-c", ""], check=True)
    assert environments.site_packages(first).is_dir()
    (cache / "go-1").mkdir()

    requirements.write_text("# another\n", encoding="utf-8")
    second = environments.ensure_environment(cache, "go-kart", said.append)
    assert second != first
    assert not first.exists()
    assert (cache / "go-1").exists()

    # As if the installation had been interrupted.
    (second / environments.STAMP).unlink()
    environments.ensure_environment(cache, "go-kart", said.append)
    assert len(said) == 3


def test_an_environment_that_cannot_be_made_is_named(tmp_path, requirements):
    requirements.write_text("nowhere @ file:///nowhere-1-py3-none-any.whl\n", encoding="utf-8")
    with pytest.raises(MeasurementError, match="environment of mlflow could not be made; leave it"):
        environments.ensure_environment(tmp_path / "cache", "mlflow", lambda _: None)
    assert not list((tmp_path / "cache").glob(f"*/{environments.STAMP}"))


def test_sizes_are_without_bytecode(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c.py").write_bytes(b"12345")
    (tmp_path / "a" / "c.pyc").write_bytes(b"123")
    (tmp_path / "d").symlink_to(tmp_path / "a" / "b" / "c.py")
    assert environments.installed_bytes(tmp_path) == 5


def test_the_cache_is_the_users():
    folder = environments.cache_folder({"XDG_CACHE_HOME": "/c"})
    assert folder == Path("/c/docker-ml-api/benchmarks/serving")


def test_what_cannot_be_measured_is_no_success(tmp_path, monkeypatch, capsys):
    def refuse():
        raise MeasurementError("nginx is missing.")

    monkeypatch.setattr(serving, "nginx", refuse)
    monkeypatch.setattr("sys.argv", ["serving", f"--output={tmp_path}"])
    with pytest.raises(SystemExit) as ended:
        serving.main()
    assert ended.value.code == serving.CANNOT_MEASURE
    assert capsys.readouterr().err == "Cannot measure: nginx is missing.\n"
    assert not list(tmp_path.iterdir())
