"""The registry's password is only in the pull secret, and correct there."""

import base64
import json
import subprocess
import threading

import pytest

from support import ROOT, processes
from support.ansible_run import PLAYBOOK
from support.workload_play import SECRET, playing


@pytest.fixture
def play(cluster, tmp_path):
    with playing(cluster, tmp_path) as made:
        made.app("app", "one")
        made.workload("web")
        yield made


def stored(play):
    """Return the password in the pull secret."""
    secret = play.get("secret", SECRET)
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    config = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    [(host, login)] = config["auths"].items()
    assert host == play.cluster.registry
    assert base64.b64decode(login["auth"]).decode() == f"{login['username']}:{login['password']}"
    return login["password"]


def watched(command):
    """Run a command; return its output, and the arguments of all processes in the meantime."""
    seen = set()
    stop = threading.Event()

    def look():
        while not stop.wait(0.01):
            seen.update(arguments for _, arguments in processes.files("cmdline"))

    looker = threading.Thread(target=look)
    looker.start()
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
    finally:
        stop.set()
        looker.join()
    assert done.returncode == 0, done.stdout
    return done.stdout + done.stderr, b"\n".join(seen).decode(errors="replace")


def test_nowhere_but_in_the_pull_secret(play):
    play.workloads["web"]["environment"] = {"GREETING": "hello"}
    password = play.cluster.password
    encoded = base64.b64encode(f"{play.cluster.username}:{password}".encode()).decode()
    written, arguments = watched([PLAYBOOK, *play.arguments("-vvv", "--diff")])
    assert stored(play) == password
    # The arguments and the output were captured.
    assert "ansible-playbook" in arguments
    assert "workload : Apply the objects" in written
    for text in (written, arguments):
        assert password not in text
        assert encoded not in text
    config_maps = json.dumps(play.get("configmap,deployment,service,events"))
    assert password not in config_maps
    assert encoded not in config_maps
    secrets = play.get("secret", f"--field-selector=metadata.name!={SECRET}")
    assert secrets["items"] == []


def test_a_changed_password_changes_the_secret_alone(play):
    play.succeed()
    [pod] = play.pods("web")
    login = {"auths": {play.cluster.registry: {"username": "rehearsal", "password": "former"}}}
    former = base64.b64encode(json.dumps(login).encode()).decode()
    play.kubectl(
        "patch", "secret", SECRET, "--patch", json.dumps({"data": {".dockerconfigjson": former}})
    )
    play.mark()
    run = play.succeed("--diff")
    assert run.changed == ["workload : Apply the objects"]
    assert [one.split()[1] for one in play.mutations()] == [f"secrets/{SECRET}"]
    assert "former" not in run.text
    assert stored(play) == play.cluster.password
    assert [one["metadata"]["uid"] for one in play.pods("web")] == [pod["metadata"]["uid"]]
    play.settled()


def test_a_foreign_secret_of_the_same_name_is_not_touched(play):
    play.kubectl("create", "secret", "generic", SECRET, "--from-literal=a=b")
    message = play.refuse()
    assert f"There already is Secret {play.namespace}/{SECRET}, not made by us" in message
    assert "workload_pull_secret" in message
    assert "service_name" not in message
    play.variables |= {"workload_pull_secret": "another-name"}
    play.succeed()
    assert "Secret/another-name" in play.objects()
    assert list(play.get("secret", SECRET)["data"]) == ["a"]


def test_the_docker_clients_login_does_for_the_digests(play, tmp_path):
    """Without a login for the cluster, the nodes pull with their own credentials."""
    login = f"{play.cluster.username}:{play.cluster.password}"
    auth = base64.b64encode(login.encode()).decode()
    config = {"auths": {play.cluster.registry: {"auth": auth}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "config.json").chmod(0o600)
    play.variables |= {
        "image_registry_username": "",
        "image_registry_password": "",
        "workload_registry_config": str(tmp_path),
    }
    play.succeed("--tags=render", "-e", f"workload_render_folder={tmp_path / 'rendered'}")
    [path] = (tmp_path / "rendered").iterdir()
    assert f"/{play.namespace}/one@sha256:" in path.read_text()
    assert "imagePullSecrets" not in path.read_text()
