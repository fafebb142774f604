import pytest
from ansible.module_utils.docker_ml_api.kubernetes import version as kubernetes_version
from ansible.module_utils.docker_ml_api.kubernetes.version import Version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v1.34.4", (1, 34)),
        ("v1.31.7-gke.1000", (1, 31)),
        ("v1.30.2+k3s1", (1, 30)),
        ("v1.33.0-eks-abc", (1, 33)),
        ("1.30", (1, 30)),
        ("1.30+", (1, 30)),
        (" 1.9 ", (1, 9)),
        ("v2.0", (2, 0)),
    ],
)
def test_versions(text, version):
    assert kubernetes_version.parse(text) == version


@pytest.mark.parametrize("text", ["", "latest", "1", "v1.x", "1.30x", "a1.30"])
def test_no_versions(text):
    with pytest.raises(ValueError, match="is no version of Kubernetes, such as"):
        kubernetes_version.parse(text)


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ({"gitVersion": "v1.34.4", "major": "1", "minor": "34"}, (1, 34)),
        ({"gitVersion": "", "major": "1", "minor": "30+"}, (1, 30)),
        ({"gitVersion": "build-7", "major": "1", "minor": "29"}, (1, 29)),
    ],
)
def test_of_servers(answer, version):
    assert kubernetes_version.of_server(answer) == version


def test_of_something_else():
    with pytest.raises(ValueError, match="is no version"):
        kubernetes_version.of_server({"hello": "world"})


def test_order_and_text():
    assert Version(1, 9) < Version(1, 30) < Version(2, 0)
    assert str(Version(1, 30)) == "1.30"
