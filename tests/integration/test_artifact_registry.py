"""Google's Artifact Registry: a real engine pushes to the double, under Google's host names.

The engine and the modules access Google through a proxy that terminates TLS. A real registry
behind it stores the images.
"""

import base64
import json
import os
import threading
import uuid
from pathlib import Path

import pytest
import yaml

from rehearsal.gke.model import World
from support import ROOT, gke_double, own_engine, processes, real_registry, registry_double
from support.ansible_run import PLAIN, run_playbook
from support.real_engine import Engine
from support.role_play import Play

HOST = "europe-west1-docker.pkg.dev"
MAKE = "image : Make the repository in Artifact Registry"
PUSH = "image : Push the images"
REMOVE = "image : Remove the repository from Artifact Registry"
TOKEN = "ya29."  # noqa: S105 - the prefix of Google's tokens
LOCAL = {
    "ansible_connection": "local",
    "ansible_python_interpreter": "{{ ansible_playbook_python }}",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    with real_registry.running(folder, private=False) as running:
        yield running


class Slow(World):
    """A world whose tokens expire after each creation and push, as if an hour had passed."""

    accounts = None

    def call(self, call):
        answer = super().call(call)
        if call.method_id.endswith("repositories.create"):
            self.end_tokens()
        return answer

    def control(self, action, arguments):
        if action == "push":
            self.end_tokens()
        return super().control(action, arguments)

    def end_tokens(self):
        for token in self.accounts.dump():
            self.accounts.revoke(token["value"])


@pytest.fixture
def google(tmp_path, store):
    options = {"registry": f"http://{store.host}", "make_world": Slow}
    with gke_double.running(tmp_path, **options) as running:
        running.world.accounts = running.double.accounts
        yield running


def way(google):
    """Return the environment for access to Google, without the credentials."""
    return {
        name: value for name, value in google.environment.items() if not name.startswith("GCP_")
    }


@pytest.fixture
def play(google, tmp_path):
    proxy = {"HTTPS_PROXY": google.proxy, "https_proxy": "", "NO_PROXY": "", "no_proxy": ""}
    with (
        own_engine.running(**proxy, SSL_CERT_FILE=str(google.authority)) as address,
        own_engine.client_of(address) as client,
    ):
        made = Play(tmp_path, Engine(client))
        label = f'LABEL docker-ml-api.test="{made.engine.prefix}"'
        (made.app / "Dockerfile").write_text(f"FROM scratch\n{label}\nCOPY . /srv/\n")
        made.variables |= {
            "image_registry": f"{HOST}/{google.project}/models/team",
            "image_google_auth_kind": "serviceaccount",
            "image_google_service_account_file": str(google.key_file),
            "image_google_environment": way(google),
        }
        made.environment = {"DOCKER_HOST": address, "DOCKER_CONFIG": str(tmp_path / "docker")}
        yield made


class Arguments(threading.Thread):
    """Records the arguments of all processes, and the modes of the docker client's login files."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self.seen = set()
        self.modes = set()
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.01):
            self.seen.update(arguments for _, arguments in processes.files("cmdline"))
            for path in self.folder.glob("*.login/config.json"):
                try:
                    self.modes.add(oct(path.stat().st_mode & 0o777))
                except OSError:
                    continue

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


def calls(google):
    return [(one["api"], one["method_id"].rpartition(".")[2]) for one in google.mutations()]


def test_from_nothing_to_nothing(play, google, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("t")
    environment = {**play.environment, "TMPDIR": str(scratch)}
    reference = f"{HOST}/{google.project}/models"
    image = f"{reference}/team/{play.image}"

    # Check mode.
    said = play.succeed("--tags=images", "--check", "--diff", **environment)
    assert MAKE in said.changed
    assert f"Would push {image}." in said.messages
    assert google.mutations() == []

    # The run. Nothing of the login is visible or left behind.
    with Arguments(scratch) as watched:
        first = play.succeed("--tags=images", "-vvv", "--diff", **environment, **PLAIN)
    assert first.changed == [f"image : Build {play.image}", MAKE, PUSH]
    [made] = [one for one in google.mutations() if one["api"] == "artifactregistry"]
    assert made["body"] == {"format": "DOCKER", "labels": {"managed-by": "docker-ml-api"}}
    assert watched.modes == {"0o600"}
    assert b"ansible-playbook" in b"".join(watched.seen)
    assert TOKEN.encode() not in b"".join(watched.seen)
    encoded = base64.b64encode(TOKEN.encode()).decode()
    assert TOKEN not in first.text
    assert encoded[:5] not in first.text
    assert list(scratch.rglob("*")) == []
    assert not (Path(environment["DOCKER_CONFIG"]) / "config.json").exists()
    facts = first.facts["image_references"]["app"]
    pulled = play.engine.client.images.pull(
        image, auth_config={"username": "oauth2accesstoken", "password": google.access_token()}
    )
    assert facts["digest"] in pulled.attrs["RepoDigests"][0]

    # A second run changes nothing.
    google.forget_requests()
    assert play.succeed("--tags=images", **environment).changed == []
    assert google.mutations() == []

    # A teardown that keeps the repository says so.
    kept = play.succeed("--tags=teardown", "-e", "image_repository_kept=true", **environment)
    [stays] = [said for said in kept.messages if said.startswith(f"The repository {reference} ")]
    assert stays.endswith(
        "removed with -e teardown_repository=true, or by: gcloud artifacts repositories delete "
        f"models --location europe-west1 --project {google.project}"
    )
    assert google.mutations() == []

    # A teardown removes the repository with its images.
    last = play.succeed("--tags=teardown", "--diff", **environment)
    assert REMOVE in last.changed
    assert calls(google) == [("artifactregistry", "delete")]
    assert google.world.dump()["repositories"] == {}


def test_a_login_that_may_not_push(play, google):
    google.world.control("deny", {"permissions": ["artifactregistry.repositories.uploadArtifacts"]})
    run = play.run("--tags=images", **play.environment)
    assert run.status != 0
    assert "artifactregistry.repositories.uploadArtifacts" in run.failure
    assert TOKEN not in run.text


# Case: (the host's variables, part of the message)
WRONG = {
    "no project": (
        {"image_registry": f"{HOST}/models"},
        f"image_registry: '{HOST}/models' is no repository of Artifact Registry: write LOCATION-",
    ),
    "another project": (
        {"image_registry": f"{HOST}/nobodys/models"},
        "image_registry names the project nobodys, but there is none that this login can see",
    ),
    "no login": (
        {"image_google_auth_kind": "application", "image_google_service_account_file": ""},
        "There are no application default credentials: log in with gcloud auth application-default",
    ),
    "no key": (
        {"image_google_service_account_file": "/nonexistent"},
        "/nonexistent",
    ),
    "another user": (
        {"image_registry_username": "tom", "image_registry_password": "s3cret"},
        f"{HOST} knows no user tom: leave image_registry_username (IMAGE_REGISTRY_USERNAME) empty",
    ),
    "no password": (
        {"image_registry_username": "_json_key_base64"},
        f"image_registry_password is missing for {HOST}/",
    ),
    "no key of an account": (
        {"image_registry_username": "_json_key_base64", "image_registry_password": "s3cret"},
        f"The registry {HOST} refuses the password of _json_key_base64",
    ),
}


def test_wrong_input(google, tmp_path):
    """Each case is a host, so that one run covers all."""
    app = {"name": "app", "folder": str(ROOT / "hello-world"), "image": "app:v1"}
    sound = {
        "image_apps": [app],
        "image_registry": f"{HOST}/{google.project}/models",
        "image_google_auth_kind": "serviceaccount",
        "image_google_service_account_file": str(google.key_file),
        "image_google_environment": way(google),
        **LOCAL,
    }
    key = base64.b64encode(google.key_file.read_bytes()).decode()
    by_key = {"image_registry_username": "_json_key_base64", "image_registry_password": key}
    hosts = {name.replace(" ", "-"): sound | wrong for name, (wrong, _) in WRONG.items()}
    hosts |= {"right": sound, "by-key": sound | by_key}
    # Treated like a remote host: Google is queried from this machine instead.
    hosts["elsewhere"] = {**sound, "ansible_connection": "ansible.builtin.local"}
    playbook = [
        {
            "hosts": "all",
            "gather_facts": False,
            "tasks": [
                {"ansible.builtin.import_role": {"name": "image", "tasks_from": "preflight"}}
            ],
        }
    ]
    (tmp_path / "playbook.yml").write_text(yaml.safe_dump(playbook))
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    environment = {"HOME": str(tmp_path), "NO_GCE_CHECK": "true"}
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GCP_SERVICE_ACCOUNT_FILE", "GCP_AUTH_KIND"):
        assert name not in os.environ
    run = run_playbook(
        f"--inventory={tmp_path}/hosts.yml", tmp_path / "playbook.yml", **environment
    )
    failed = failures(run)
    assert sorted(failed) == sorted(name.replace(" ", "-") for name in WRONG)
    for name, (_, message) in WRONG.items():
        assert message in failed[name.replace(" ", "-")], name
    assert google.mutations() == []
    assert TOKEN not in run.text


def failures(run):
    """Return the first error message of each host."""
    found = {}
    for play in run.report["plays"]:
        for task in play["tasks"]:
            for host, result in task["hosts"].items():
                if result.get("failed"):
                    found.setdefault(host, str(result.get("msg")))
    return found


@pytest.fixture
def images(google):
    """Push the apps' images to an existing repository; return the digests by name."""
    reference = google.make_repository("models")

    def bearer(request):
        request.headers["Authorization"] = f"Bearer {google.access_token()}"
        return request

    way_in = {"proxies": {"https": google.proxy}, "verify": str(google.authority), "auth": bearer}
    return {
        name: registry_double.put_image(
            f"https://{HOST}", f"{reference.partition('/')[2]}/{name}", "v1", **way_in
        )
        for name in ("hello-app", "diabetes")
    }


def rendered(folder, inventory, tmp_path, *arguments, hosts=None, **variables):
    """Render the clusters' manifests; return the run, and the texts by host and file."""
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(variables))
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"clusters": {"hosts": hosts or {}}}))
    run = run_playbook(
        f"--inventory={ROOT}/inventory/{inventory}",
        f"--inventory={own}",
        ROOT / "site.yml",
        "--tags=render",
        "-e",
        f"workload_render_folder={folder}/{{{{ inventory_hostname }}}}",
        "-e",
        f"@{settings}",
        *arguments,
        IMAGE_REGISTRY_USERNAME="",
        IMAGE_REGISTRY_PASSWORD="",
    )
    texts = {
        f"{path.parent.name}/{path.name}": path.read_text() for path in folder.glob("*/*.yaml")
    }
    return run, texts


def test_gke_pulls_by_its_own_account(google, images, tmp_path):
    login = {
        "gcp_project": google.project,
        "gcp_auth_kind": "serviceaccount",
        "gcp_service_account_file": str(google.key_file),
        "gke_cluster_environment": way(google),
        "image_registry": f"{HOST}/{google.project}/models",
    }
    run, texts = rendered(tmp_path / "out", "gke.yml", tmp_path, "-vvv", **login)
    run.ok()
    assert sorted(texts) == [
        "hello-cluster/default-hello-web.yaml",
        "model-test-cluster/default-diabetes-api.yaml",
        "model-test-cluster/test-ml-app-test-ml-score.yaml",
    ]
    for name, text in texts.items():
        app = "hello-app" if "hello-web" in name else "diabetes"
        assert f"image: {login['image_registry']}/{app}@{images[app]}" in text
        assert "imagePullSecrets" not in text
    assert TOKEN not in run.text

    # The Docker host uses the same credentials; the apps' names are unique to this test.
    run, _ = rendered(
        tmp_path / "none",
        "gke.yml",
        tmp_path,
        "--tags=teardown",
        "--limit=docker_hosts",
        apps_prefix=f"t{uuid.uuid4().hex[:10]}-",
        **login,
    )
    run.ok()
    assert run.changed == []
    [stays] = [said for said in run.messages if said.startswith(login["image_registry"])]
    assert "since it does not carry the label managed-by: docker-ml-api" in stays
    assert google.mutations()[-1]["method_id"] == "push"  # by the fixture


def test_gke_pulls_from_a_private_repository_by_a_secret(tmp_path):
    run, texts = rendered(
        tmp_path / "out",
        "gke.yml",
        tmp_path,
        gcp_project="my-project",
        image_registry="docker.io/account",
        image_registry_username="account",
        image_registry_password="s3cret",  # noqa: S106 - not a real one
        workload_pin_digests=False,
    )
    run.ok()
    assert len(texts) == 3
    for text in texts.values():
        [one] = [one for one in yaml.safe_load_all(text) if one["kind"] == "Deployment"]
        pod = one["spec"]["template"]["spec"]
        assert pod["containers"][0]["image"].startswith("docker.io/account/")
        assert pod["imagePullSecrets"] == [{"name": "docker-ml-api-registry"}]
    assert "s3cret" not in run.text


def test_other_clusters_need_a_login_that_lasts(google, images, tmp_path):
    registry = f"{HOST}/{google.project}/models"
    key = base64.b64encode(google.key_file.read_bytes()).decode()
    hosts = {
        "kubernetes": LOCAL,
        "of-gke": {"cluster_nodes_pull": "true", **LOCAL},
        "by-key": {
            "image_pull_username": "_json_key_base64",
            "image_pull_password": key,
            **LOCAL,
        },
        "by-token": {
            "image_pull_username": "oauth2accesstoken",
            "image_pull_password": google.access_token(),
            **LOCAL,
        },
        "half": {
            "image_pull_username": "_json_key_base64",
            "image_registry_username": "tom",
            "image_registry_password": "s3cret",
            **LOCAL,
        },
    }
    site = {
        "image_registry": registry,
        "cluster_workloads": ["hello-web"],
        "gcp_auth_kind": "serviceaccount",
        "gcp_service_account_file": str(google.key_file),
        "gke_cluster_environment": way(google),
        "kubernetes_kubeconfig": str(tmp_path / "none"),
    }
    run, texts = rendered(
        tmp_path / "out",
        "kubernetes.yml",
        tmp_path,
        "--tags=workloads",
        "--limit=clusters",
        hosts=hosts,
        **site,
    )
    failed = failures(run)
    assert failed["kubernetes"] == (
        f"kubernetes cannot pull from {registry} for longer than an hour by the login of Google "
        "Cloud: set IMAGE_PULL_USERNAME to _json_key_base64 and IMAGE_PULL_PASSWORD to the key, as "
        "base64, of a service account that may read there "
        "(roles/artifactregistry.reader), or cluster_nodes_pull to true if its nodes have a login "
        "of their own, as those of GKE have."
    )
    assert "as oauth2accesstoken, whose password ends after an hour" in failed["by-token"]
    assert "The password by which the cluster pulls from" in failed["half"]
    for sound in ("of-gke", "by-key"):
        assert str(tmp_path / "none") in failed[sound]  # the next problem
    assert texts == {}

    run, texts = rendered(
        tmp_path / "out",
        "kubernetes.yml",
        tmp_path,
        "--limit=of-gke:by-key",
        hosts=hosts,
        **site,
    )
    run.ok()
    assert ["imagePullSecrets" in text for _, text in sorted(texts.items())] == [True, False]
    for text in texts.values():
        assert f"@{images['hello-app']}" in text
    assert key not in run.text
