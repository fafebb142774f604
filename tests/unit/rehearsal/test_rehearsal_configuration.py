"""The components' configuration: none is reachable from other machines, and all paths agree."""

import base64
import json
import re
import tomllib
from ipaddress import ip_address
from pathlib import Path

import pytest

from rehearsal.kubernetes import certificates, components, configuration, layout, objects
from rehearsal.kubernetes.layout import Layout

PATHS = Layout(Path("/var/lib/some where"))
INSTALLED = {"containerd": Path("/usr/bin/containerd"), "docker-registry": Path("/usr/bin/dr")}


@pytest.fixture
def files():
    return configuration.files(
        PATHS, plugins=Path("/usr/lib/cni"), snapshotter="overlayfs", htpasswd="rehearsal:hash\n"
    )


def test_networks_are_apart():
    networks = (layout.POD_NETWORK, layout.SERVICE_NETWORK)
    assert not networks[0].overlaps(networks[1])
    assert all(network.subnet_of(layout.NETWORKS) for network in networks)
    assert layout.NODE_ADDRESS in layout.NETWORKS
    assert not [network for network in networks if layout.NODE_ADDRESS in network]
    assert {layout.SERVICE_ADDRESS, layout.DNS_ADDRESS} <= set(layout.SERVICE_NETWORK)


def test_everything_listens_on_loopback_or_on_the_node_alone(files):
    said = json.dumps([*files.values(), *(each.arguments for each in all_components())])
    addresses = {ip_address(text) for text in re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", said)}
    known = {layout.NODE_ADDRESS, layout.DNS_ADDRESS, layout.NETWORKS[0]}
    known |= {network[0] for network in (layout.POD_NETWORK, layout.SERVICE_NETWORK)}
    others = {address for address in addresses - known if not address.is_loopback}
    assert {str(address) for address in others} == {"0.0.0.0"}  # noqa: S104 - the pods' route


def all_components():
    return components.all_components(PATHS, INSTALLED)


def test_each_listener_is_one_of_those_that_must_be_free():
    listeners = {f"{address}:{port}" for address, port in layout.LISTENERS}
    found = {each.address for each in all_components() if each.address.startswith("127.0.20.")}
    assert found <= listeners


@pytest.mark.parametrize(
    "name", [each.name for each in components.all_components(PATHS, INSTALLED)]
)
def test_everything_lies_in_the_folder(files, name):
    """Each path in a component's arguments is in the folder; none uses /var/lib/kubelet."""
    (component,) = [each for each in all_components() if each.name == name]
    paths = re.findall(r"(?:^|=)(/\S.*)$", "\n".join(component.arguments), re.MULTILINE)
    assert [path for path in paths if not path.startswith(str(PATHS.folder))] == []
    for path in paths:
        in_configuration = PATHS.configuration in Path(path).parents
        assert not in_configuration or Path(path) in files
        in_pki = PATHS.certificates in Path(path).parents
        assert not in_pki or Path(path).stem in {
            *certificates.SUBJECTS,
            *("ca", "aggregation-ca", "aggregation-client", "service-accounts"),
        }


def test_containerd(files):
    text = files[PATHS.configuration / "containerd.toml"]
    configured = tomllib.loads(text)
    cri = configured["plugins"]["io.containerd.grpc.v1.cri"]
    assert configured["root"] == "/var/lib/some where/containerd/root"
    assert cri["sandbox_image"] == layout.PAUSE_IMAGE
    assert cri["restrict_oom_score_adj"] is True
    assert cri["containerd"]["snapshotter"] == "overlayfs"
    assert cri["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is False
    hosts = Path(cri["registry"]["config_path"]) / layout.REGISTRY / "hosts.toml"
    assert tomllib.loads(files[hosts])["server"] == "http://127.0.20.2:5000"


@pytest.mark.parametrize(
    "name", ["kubelet.json", "kube-proxy.json", "scheduler.json", "audit-policy.json"]
)
def test_configuration_is_of_a_kind(files, name):
    assert {"apiVersion", "kind"} <= set(json.loads(files[PATHS.configuration / name]))


def test_kubelet_leaves_the_machine_alone():
    told = configuration.kubelet(PATHS)
    assert told["cgroupRoot"] == f"/{PATHS.cgroup}"
    assert told["makeIPTablesUtilChains"] is False
    assert told["podLogsDir"].startswith(str(PATHS.folder))


def test_clusters_have_groups_of_their_own():
    groups = {Layout(Path(folder)).cgroup for folder in ("/var/a", "/var/b")} | {Layout().cgroup}
    assert len(groups) == 3
    assert Layout().cgroup == "docker-ml-api-rehearsal"
    assert Layout(Path("/var/a")).cgroup == Layout(Path("/var/a")).cgroup


@pytest.mark.parametrize("password_file", [Path("/h"), None])
def test_registry_asks_for_a_login_where_there_is_one(password_file):
    told = configuration.registry("127.0.0.1:1", Path("/data"), password_file)
    assert ("auth" in told) == (password_file is not None)


def test_kubeconfig_is_complete_in_itself(tmp_path):
    certificates.write(tmp_path)
    told = json.loads(configuration.kubeconfig(tmp_path, "admin"))
    assert told["current-context"] == "rehearsal"
    (cluster,), (user,), (context,) = told["clusters"], told["users"], told["contexts"]
    assert context["context"] == {"cluster": cluster["name"], "user": user["name"]}
    assert cluster["cluster"]["server"] == "https://127.0.20.1"
    inline = base64.b64decode(user["user"]["client-key-data"])
    assert inline == (tmp_path / "admin.key").read_bytes()


@pytest.mark.parametrize("component", ["containerd", "kubelet"])
@pytest.mark.parametrize(
    ("of_runner", "no_proxy"),
    [
        ({}, "127.0.0.0/8,localhost,10.199.0.0/18"),
        (
            {"HTTPS_PROXY": "http://u:p@proxy:1", "no_proxy": "corp.test", "SECRET": "x"},
            "127.0.0.0/8,localhost,10.199.0.0/18,corp.test",
        ),
    ],
)
def test_only_what_pulls_images_knows_of_proxies(component, of_runner, no_proxy):
    told = components.environment(component, Path("/bin/own"), of_runner)
    assert told.pop("PATH").startswith("/bin/own:/usr/local/sbin:")
    assert int(told.pop("GOGC")) > 100
    if component == "containerd":
        proxies = {name: of_runner[name] for name in ("HTTPS_PROXY",) if name in of_runner}
        assert told == {"NO_PROXY": no_proxy, **proxies}
    else:
        assert told == {}


def test_webhook_is_asked_about_tokens_when_there_is_one():
    url = "http://127.0.20.3:8080/tokenreview"
    options = {"plugins": Path("/cni"), "snapshotter": "overlayfs", "htpasswd": "x"}
    without = configuration.files(PATHS, **options)
    with_it = configuration.files(PATHS, **options, token_webhook=url)
    (path,) = with_it.keys() - without.keys()
    written = json.loads(with_it[path])
    assert [each["cluster"]["server"] for each in written["clusters"]] == [url]
    (context,) = written["contexts"]
    assert written["current-context"] == context["name"]
    assert context["context"]["cluster"] == written["clusters"][0]["name"]
    assert context["context"]["user"] == written["users"][0]["name"]

    def arguments(**webhook):
        found = components.all_components(PATHS, INSTALLED, **webhook)
        return {each.name: set(each.arguments) for each in found}

    said = arguments(token_webhook=True)
    assert f"--authentication-token-webhook-config-file={path}" in said["kube-apiserver"]
    assert "--authentication-token-webhook-version=v1" in said["kube-apiserver"]
    more = {name: said[name] - before for name, before in arguments().items()}
    assert [name for name, added in more.items() if added] == ["kube-apiserver"]


def test_administrator_may_everything():
    added = [
        each
        for each in objects.cluster_objects("QQ==", "someone@example.com")
        if each not in objects.cluster_objects("QQ==")
    ]
    assert [
        (each["kind"], each["roleRef"]["name"], each["subjects"][0]["kind"]) for each in added
    ] == [("ClusterRoleBinding", "cluster-admin", "User")]
    assert added[0]["subjects"][0]["name"] == "someone@example.com"


def test_objects_are_named_once_and_refer_to_one_another():
    made = objects.cluster_objects("QQ==")
    keys = [(each["kind"], each["metadata"]["name"]) for each in made]
    assert len(set(keys)) == len(keys)
    users = {subject.name for subject in certificates.SUBJECTS.values()}
    for binding in (each for each in made if each["kind"].endswith("Binding")):
        assert {subject["name"] for subject in binding["subjects"]} <= users
    services = {name for kind, name in keys if kind == "Service"}
    for slice_ in (each for each in made if each["kind"] == "EndpointSlice"):
        assert slice_["metadata"]["labels"]["kubernetes.io/service-name"] in services
