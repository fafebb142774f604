#!/usr/bin/python
"""Ansible module workload_manifests: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: workload_manifests
short_description: Render apps as Kubernetes objects
description:
  - Renders the manifests of workloads. A workload is an app that runs on a cluster under its own
    name, as a Deployment or ReplicationController and a Service, and optionally a
    HorizontalPodAutoscaler, a PodDisruptionBudget and a NetworkPolicy.
  - Does not access a cluster. The same input results in the same manifests, byte for byte.
  - All problems of the input are reported at once, each as a sentence.
  - The pods meet the Pod Security level C(restricted), have a read-only root file system with a
    C(/tmp) of their own and no service-account token, and are spread over the nodes. A pod that is
    to be deleted is first removed from its Service, then told to terminate.
  - A container gets the environment E(PORT), the app's port, and E(INSTANCE_NAME), the pod's name.
  - Every object has O(labels), C(app) and C(app.kubernetes.io/instance) with the workload's
    name, C(app.kubernetes.io/name) with the app's, and the annotation
    C(docker-ml-api/configuration), a hash of the object as rendered. All selectors use C(app).
version_added: 0.1.0
author:
  - docker-ml-api
options:
  workloads:
    description: The workloads to render.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of the workload's objects, and of the container in its pods; lower-case letters,
            digits and C(-), at most 63 characters.
        type: str
        required: true
      app:
        description: Name of one of O(apps).
        type: str
        required: true
      namespace:
        description: Namespace of the workload. Defaults to O(namespace).
        type: str
      kind:
        description: Controller of the pods. Defaults to O(kind).
        type: str
        choices: [Deployment, ReplicationController]
      service_name:
        description: Name of its Service. Defaults to the workload's name.
        type: str
      service_port:
        description: Port of its Service. Defaults to the app's.
        type: int
      expose:
        description: Type of its Service. Defaults to O(expose).
        type: str
        choices: [LoadBalancer, NodePort, ClusterIP]
      load_balancer_class:
        description: The load balancer implementation to use. It cannot be changed later.
        type: str
      load_balancer_source_ranges:
        description: The networks that may access the load balancer. By default all may.
        type: list
        elements: str
      service_annotations:
        description: Annotations of the Service, which configure the cloud's load balancer.
        type: dict
      replicas:
        description: Number of pods. Defaults to O(replicas). With O(workloads[].autoscale) the
          autoscaler determines it instead.
        type: int
      labels:
        description: Additional labels of its objects and pods.
        type: dict
      environment:
        description: Environment of the container; values are text and are passed unchanged.
        type: dict
      resources:
        description: Requests and limits that override those of the app individually.
        type: dict
        suboptions: &resources
          requests:
            description: "Resources that a node must have free, as in C({cpu: 50m, memory: 64Mi})."
            type: dict
          limits:
            description: Maximum resources of a container.
            type: dict
      autoscale:
        description: Scales the number of pods with the load. Requires a CPU request, a Deployment,
          and a cluster with metrics.
        type: dict
        suboptions:
          min_replicas:
            description: Minimum number of pods.
            type: int
            required: true
          max_replicas:
            description: Maximum number of pods.
            type: int
            required: true
          cpu_percent:
            description: Target average CPU utilization of the pods, in percent of the request.
            type: int
            default: 80
          scale_down_delay:
            description: Seconds for which the load must have been lower before pods are removed.
            type: int
            default: 300
      disruption_budget:
        description: Number of pods that must stay, or may be evicted, when nodes are drained.
        type: dict
        suboptions:
          min_available:
            description: Minimum number of pods that stay, as a number or a percentage like V(50%).
            type: raw
          max_unavailable:
            description: Maximum number of pods evicted at a time, as a number or a percentage.
            type: raw
      network_policy:
        description: Whether pods accept connections on the app's port only, and cannot open any
          themselves. Requires a network plugin that enforces it.
        type: bool
        default: false
      node_selector:
        description: Labels of the nodes that the pods may run on.
        type: dict
      tolerations:
        description: Node taints that the pods tolerate, as in a pod's C(tolerations).
        type: list
        elements: dict
      probes:
        description: Whether the pods have probes. Defaults to O(probes).
        type: bool
      graceful:
        description: Whether the pods terminate gracefully. Defaults to O(graceful).
        type: bool
  apps:
    description: The apps that workloads can run.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The app's name.
        type: str
        required: true
      image:
        description: Name and tag of its image, without O(registry).
        type: str
        required: true
      port:
        description: The port that it listens on.
        type: int
        required: true
      alive_path:
        description: Path that its startup and liveness probes request.
        type: str
        default: /
      ready_path:
        description: Path that its readiness probe requests. Defaults to O(apps[].alive_path).
        type: str
      resources:
        description: Requests and limits of its container.
        type: dict
        suboptions: *resources
      checks:
        description: Checks of a running workload; passed to the module C(prediction_check).
        type: list
        elements: dict
  registry:
    description: Registry of the images with its path, such as V(docker.io/ACCOUNT); empty if the
      images already exist on the nodes.
    type: str
    default: ""
  digests:
    description: Digest V(sha256:…) of each app's image, by the app's name. An app without one is
      referenced by its tag.
    type: dict
  pull_secret:
    description: Name of the Secret with the registry credentials; empty for none.
    type: str
    default: ""
  labels:
    description: Labels of every object, which distinguish the objects of this project from others.
    type: dict
    required: true
  namespace:
    description: Namespace of workloads that do not set one.
    type: str
    default: default
  kind:
    description: Controller of the pods of workloads that do not set one.
    type: str
    choices: [Deployment, ReplicationController]
    default: Deployment
  expose:
    description: Type of the Services of workloads that do not set one.
    type: str
    choices: [LoadBalancer, NodePort, ClusterIP]
    default: LoadBalancer
  replicas:
    description: Number of pods of workloads that do not set it.
    type: int
    default: 2
  progress_deadline:
    description: Seconds after which a rollout that does not progress has failed.
    type: int
    default: 300
  min_ready:
    description: Seconds that a new pod must be ready before an old one is deleted.
    type: int
    default: 1
  pre_stop:
    description: Seconds that a terminating pod continues to answer, so that every node and load
      balancer can remove it in the meantime.
    type: int
    default: 5
  termination_grace:
    description: Seconds that a pod may take to terminate, including O(pre_stop).
    type: int
    default: 30
  probes:
    description: Whether pods have startup, readiness and liveness probes. Without them requests
      reach pods that are not ready; use this only to measure the effect of the probes.
    type: bool
    default: true
  graceful:
    description: Whether terminating pods have O(pre_stop) and O(termination_grace). Otherwise
      they are killed after a second; use this only for measurements, too.
    type: bool
    default: true
  yaml:
    description: Whether each workload is returned as YAML text as well.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    description: Changes nothing.
  diff_mode:
    support: none
    description: Changes nothing.
requirements: [PyYAML]
"""

EXAMPLES = r"""
- name: Render the model
  workload_manifests:
    registry: docker.io/ACCOUNT
    labels: {app.kubernetes.io/managed-by: docker-ml-api}
    apps:
      - name: diabetes
        image: diabetes:v1
        port: 8080
        alive_path: /isAlive
        ready_path: /v2/health/ready
        resources:
          requests: {cpu: 50m, memory: 64Mi}
          limits: {cpu: "1", memory: 256Mi}
    workloads:
      - name: test-ml-score
        app: diabetes
        namespace: test-ml-app
        service_name: test-ml-score-lb
        labels: {env: prod}
        autoscale: {min_replicas: 2, max_replicas: 6}
        disruption_budget: {max_unavailable: 1}
  register: rendered

- name: Write the input of kubectl apply
  ansible.builtin.copy:
    content: "{{ rendered.workloads[0].yaml }}"
    dest: model_launch.yaml
    mode: "0644"
"""

RETURN = r"""
workloads:
  description: The workloads, in the order of the option.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: The workload's name., type: str, sample: test-ml-score}
    namespace: {description: Its namespace., type: str, sample: test-ml-app}
    kind: {description: The controller of its pods., type: str, sample: Deployment}
    app: {description: The app's name., type: str, sample: diabetes}
    image:
      description: The image as referenced by the pods.
      type: str
      sample: docker.io/ACCOUNT/diabetes@sha256:0123...
    replicas: {description: Number of pods; the minimum if autoscaled., type: int, sample: 2}
    autoscaled: {description: Whether it has an autoscaler., type: bool, sample: false}
    service_name: {description: Name of its Service., type: str, sample: test-ml-score-lb}
    service_port: {description: Port of its Service., type: int, sample: 8080}
    expose: {description: Type of its Service., type: str, sample: LoadBalancer}
    port: {description: The port that the container listens on., type: int, sample: 8080}
    checks: {description: Checks of the app., type: list, elements: dict, sample: []}
    configuration:
      description: A hash of its objects.
      type: str
      sample: sha256:0123...
    objects:
      description: Its objects, in the order in which to apply them, without its namespace.
      type: list
      elements: dict
      sample: []
    yaml:
      description: Its namespace, if that is not V(default), and its objects as YAML documents.
      returned: with O(yaml)
      type: str
      sample: "---\napiVersion: v1\nkind: Namespace\n..."
namespaces:
  description: The Namespaces that the workloads need; V(default) is not among them.
  returned: success
  type: list
  elements: dict
  sample: []
"""

import traceback
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from ansible.module_utils.docker_ml_api.kubernetes import manifests, workload_input

    IMPORT_ERROR = None
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

_KIND = {"type": "str", "choices": ["Deployment", "ReplicationController"]}
_EXPOSE = {"type": "str", "choices": ["LoadBalancer", "NodePort", "ClusterIP"]}
_RESOURCES = {
    "type": "dict",
    "options": {"requests": {"type": "dict"}, "limits": {"type": "dict"}},
}
_AUTOSCALE = {
    "min_replicas": {"type": "int", "required": True},
    "max_replicas": {"type": "int", "required": True},
    "cpu_percent": {"type": "int", "default": 80},
    "scale_down_delay": {"type": "int", "default": 300},
}
_WORKLOAD = {
    "name": {"type": "str", "required": True},
    "app": {"type": "str", "required": True},
    "namespace": {"type": "str"},
    "kind": _KIND,
    "service_name": {"type": "str"},
    "service_port": {"type": "int"},
    "expose": _EXPOSE,
    "load_balancer_class": {"type": "str"},
    "load_balancer_source_ranges": {"type": "list", "elements": "str"},
    "service_annotations": {"type": "dict"},
    "replicas": {"type": "int"},
    "labels": {"type": "dict"},
    "environment": {"type": "dict"},
    "resources": _RESOURCES,
    "autoscale": {"type": "dict", "options": _AUTOSCALE},
    "disruption_budget": {
        "type": "dict",
        "options": {"min_available": {"type": "raw"}, "max_unavailable": {"type": "raw"}},
        "mutually_exclusive": [("min_available", "max_unavailable")],
        "required_one_of": [("min_available", "max_unavailable")],
    },
    "network_policy": {"type": "bool", "default": False},
    "node_selector": {"type": "dict"},
    "tolerations": {"type": "list", "elements": "dict"},
    "probes": {"type": "bool"},
    "graceful": {"type": "bool"},
}
_APP = {
    "name": {"type": "str", "required": True},
    "image": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "alive_path": {"type": "str", "default": "/"},
    "ready_path": {"type": "str"},
    "resources": _RESOURCES,
    "checks": {"type": "list", "elements": "dict"},
}
ARGUMENTS: dict[str, Any] = {
    "workloads": {"type": "list", "elements": "dict", "required": True, "options": _WORKLOAD},
    "apps": {"type": "list", "elements": "dict", "required": True, "options": _APP},
    "registry": {"type": "str", "default": ""},
    "digests": {"type": "dict"},
    # The name of the Secret is not secret.
    "pull_secret": {"type": "str", "default": "", "no_log": False},
    "labels": {"type": "dict", "required": True},
    "namespace": {"type": "str", "default": "default"},
    "kind": {**_KIND, "default": "Deployment"},
    "expose": {**_EXPOSE, "default": "LoadBalancer"},
    "replicas": {"type": "int", "default": 2},
    "progress_deadline": {"type": "int", "default": 300},
    "min_ready": {"type": "int", "default": 1},
    "pre_stop": {"type": "int", "default": 5},
    "termination_grace": {"type": "int", "default": 30},
    "probes": {"type": "bool", "default": True},
    "graceful": {"type": "bool", "default": True},
    "yaml": {"type": "bool", "default": True},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=IMPORT_ERROR)
    params = module.params
    problems = workload_input.problems(params)
    if problems:
        module.fail_json(msg="\n".join(problems))
    workloads, namespaces = manifests.render(params)
    if params["yaml"]:
        for workload in workloads:
            place = [one for one in namespaces if one["metadata"]["name"] == workload["namespace"]]
            workload["yaml"] = manifests.dump(place + workload["objects"])
    module.exit_json(changed=False, workloads=workloads, namespaces=namespaces)


if __name__ == "__main__":
    main()
