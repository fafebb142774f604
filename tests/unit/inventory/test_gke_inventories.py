"""The rehearsal's inventory equals the one for Google, except for the way to the doubles."""

from pathlib import Path

import yaml

INVENTORY = Path(__file__).resolve().parents[3] / "inventory"
# Variables that a user fills in, and those that point to the doubles.
WHERE = {
    "gcp_project",
    "gcp_auth_kind",
    "gcp_service_account_file",
    "image_registry",
    "rehearsal_folder",
    "gke_cluster_environment",
}


def read(name):
    return yaml.safe_load((INVENTORY / name).read_text())


def test_the_rehearsal_is_the_same_run():
    google, rehearsal = read("gke.yml"), read("rehearsal.yml")
    [real], [double] = google.values(), rehearsal.values()
    asked, given = real.pop("vars"), double.pop("vars")
    # Hosts, groups and their variables.
    assert rehearsal == google
    assert {key: value for key, value in given.items() if key not in WHERE} == {
        key: value for key, value in asked.items() if key not in WHERE
    }
    # The rehearsal sets all variables, and adds only those that point to the doubles.
    assert set(asked) <= set(given)
    assert set(given) - set(asked) <= {"rehearsal_folder", "gke_cluster_environment"}
