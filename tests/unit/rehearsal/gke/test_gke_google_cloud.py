"""The unmodified google.cloud modules work with the double as with Google."""

from __future__ import annotations

import json

import pytest

from support import ansible_run, gke_double

CREATE = "container.projects.locations.clusters.create"
CREATE_POOL = "container.projects.locations.clusters.nodePools.create"
DELETE_POOL = "container.projects.locations.clusters.nodePools.delete"
DELETE = "container.projects.locations.clusters.delete"
QUICK = dict.fromkeys(
    ("create_cluster_seconds", "create_pool_seconds", "update_seconds", "delete_seconds"), 0.1
)

PLAYBOOK = """\
- name: A cluster and its pool, as google.cloud makes them
  hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  module_defaults:
    group/google.cloud.gcp:
      scopes:
        - https://www.googleapis.com/auth/cloud-platform
  tasks:
    - name: Cluster
      google.cloud.gcp_container_cluster:
        name: model-test-cluster
        location: europe-west4-a
        initial_node_count: 1
        state: present
      register: cluster
    - name: Pool
      google.cloud.gcp_container_node_pool:
        name: workers
        cluster: "{{ {'name': 'model-test-cluster'} }}"
        location: europe-west4-a
        initial_node_count: 3
        config:
          machine_type: e2-small
        state: present
    - name: What there is
      google.cloud.gcp_container_node_pool_info:
        cluster: "{{ {'name': 'model-test-cluster'} }}"
        location: europe-west4-a
      register: pools
    - name: Endpoint and pools
      ansible.builtin.set_fact:
        endpoint: "{{ cluster.endpoint }}"
        pools: "{{ pools.resources | map(attribute='name') }}"
    - name: Disks
      google.cloud.gcp_compute_disk_info:
        zone: europe-west4-a
    - name: No pool
      google.cloud.gcp_container_node_pool:
        name: workers
        cluster: "{{ {'name': 'model-test-cluster'} }}"
        location: europe-west4-a
        initial_node_count: 1
        state: absent
      tags: [never, absent]
    - name: No cluster
      google.cloud.gcp_container_cluster:
        name: model-test-cluster
        location: europe-west4-a
        initial_node_count: 1
        state: absent
      tags: [never, absent]
"""


@pytest.fixture
def play(tmp_path):
    path = tmp_path / "play.yml"
    path.write_text(PLAYBOOK)
    return lambda google, *more: ansible_run.run_playbook(path, *more, **google.environment)


def changed_something(google):
    return [entry["method_id"] for entry in google.mutations()]


def test_create_find_and_delete(tmp_path, play):
    with gke_double.running(tmp_path, **QUICK) as google:
        first = play(google).ok()
        assert first.changed == ["Cluster", "Pool"]
        assert first.facts == {"endpoint": "127.0.20.1", "pools": ["workers"]}
        # The module itself deletes the default pool.
        assert changed_something(google) == [CREATE, DELETE_POOL, CREATE_POOL]
        assert {entry["caller"] for entry in google.mutations()} == {google.email}

        google.forget_requests()
        assert play(google).ok().changed == []
        assert google.mutations() == []
        assert google.requests()

        assert play(google, "--tags", "absent").ok().changed == ["No pool", "No cluster"]
        assert changed_something(google) == [DELETE_POOL, DELETE]

        # All requests and responses are valid for Google's APIs.
        assert [entry["problem"] for entry in google.requests() if entry["problem"]] == []
        refused = [entry for entry in google.requests() if entry["http_method"] == "CONNECT"]
        assert refused == []
        assert google.key_file.read_text() not in json.dumps(google.requests())


def test_request_that_google_refuses(tmp_path):
    """The module has a bug: it sends a Boolean where the API expects a message."""
    play = tmp_path / "play.yml"
    network = "        network_config:\n          default_snat_status: true\n"
    play.write_text(
        PLAYBOOK.replace(
            "        initial_node_count: 1\n", f"        initial_node_count: 1\n{network}"
        )
    )
    with gke_double.running(tmp_path, **QUICK) as google:
        run = ansible_run.run_playbook(play, **google.environment)
        assert run.status != 0
        assert "cluster.network_config.default_snat_status" in run.failure
        assert [entry["status"] for entry in google.mutations()] == [400]


@pytest.mark.usefixtures("play")
def test_key_of_somebody_else(tmp_path):
    with (
        gke_double.running(tmp_path / "a", **QUICK) as google,
        gke_double.running(tmp_path / "b", project="another", **QUICK) as another,
    ):
        environment = {**google.environment, "GCP_SERVICE_ACCOUNT_FILE": str(another.key_file)}
        run = ansible_run.run_playbook(tmp_path / "play.yml", **environment)
        assert "Invalid JWT Signature" in run.text
        assert google.mutations() == []
