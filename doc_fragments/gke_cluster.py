"""Documentation shared by the modules that take the desired state of a GKE cluster."""


class ModuleDocFragment:
    """The desired state of the cluster."""

    DOCUMENTATION = r"""
options:
  cluster:
    description: The desired state of the cluster.
    type: dict
    required: true
    suboptions:
      name:
        description: Name of the cluster.
        type: str
        required: true
      location:
        description: A zone (C(europe-west1-b)) or a region (C(europe-west1)).
        type: str
        required: true
      mode:
        description:
          - With V(standard) the nodes are those of O(cluster.node_pools). With V(autopilot)
            Google manages the nodes and bills by pod; it requires a region.
        type: str
        choices: [standard, autopilot]
        default: standard
      release_channel:
        description: Channel through which Google upgrades the cluster; V(NONE) for no channel.
        type: str
        choices: [RAPID, REGULAR, STABLE, EXTENDED, NONE]
        default: REGULAR
      kubernetes_version:
        description:
          - The minimum version, such as C(1.34), C(1.34.4-gke.1047000) or C(latest). Defaults to
            the version of the release channel. A newer version, after an upgrade by Google, does
            not count as a difference.
        type: str
      network:
        description: The VPC network.
        type: str
        default: default
      subnetwork:
        description: The subnetwork. Defaults to the network's subnetwork in the region.
        type: str
      pod_range:
        description:
          - Addresses of the pods, as a network (C(10.8.0.0/14)), a size (C(/16)) or the name of
            a secondary range of the subnetwork. By default Google chooses them. The cluster is
            always VPC-native.
        type: str
      service_range:
        description: Addresses of the Services, in the same formats.
        type: str
      locations:
        description: >-
          Zones of the nodes. Defaults to the cluster's zone; in a region, Google chooses.
        type: list
        elements: str
      private_nodes:
        description: Whether the nodes have no external addresses. They then need a Cloud NAT.
        type: bool
        default: false
      private_endpoint:
        description: Whether the API server has no external address. Requires private nodes.
        type: bool
        default: false
      control_plane_range:
        description: Network of 16 addresses for the control plane of a cluster with private nodes.
        type: str
      authorized_networks:
        description:
          - Networks that may access the API server. If unset, all networks may. If the list is
            empty, only the cluster's own network may.
        type: list
        elements: dict
        suboptions:
          name:
            description: Display name of the network.
            type: str
            default: ''
          cidr:
            description: The network in CIDR notation.
            type: str
            required: true
      workload_identity:
        description: Whether pods can have Google service accounts of their own.
        type: bool
        default: true
      shielded_nodes:
        description: Whether a node must prove its identity to the cluster.
        type: bool
        default: true
      maintenance_window:
        description: When Google may upgrade the cluster. By default at any time.
        type: dict
        suboptions:
          start:
            description: Start time in UTC.
            type: str
            required: true
          duration:
            description: Duration, from 4h to 24h. Defaults to 4h.
            type: str
          recurrence:
            description: Rule of RFC 5545, such as C(FREQ=WEEKLY;BYDAY=SA,SU). Defaults to daily.
            type: str
      logging:
        description: Components whose logs Google collects. By default Google chooses them.
        type: list
        elements: str
        choices: [SYSTEM_COMPONENTS, WORKLOADS, APISERVER, SCHEDULER, CONTROLLER_MANAGER]
      monitoring:
        description: Components whose metrics Google collects. By default Google chooses them.
        type: list
        elements: str
        choices: [SYSTEM_COMPONENTS, APISERVER, SCHEDULER, CONTROLLER_MANAGER, STORAGE, HPA, POD,
                  DAEMONSET, DEPLOYMENT, STATEFULSET, CADVISOR, KUBELET, DCGM, JOBSET]
      labels:
        description:
          - Labels of the cluster. C(managed-by), C(created-at), C(ttl) and
            C(deletion-protection) are added. Labels of the live cluster that are not listed here
            are removed, except Google's own (C(goog-…)).
        type: dict
        default: {}
      ttl:
        description: Lifetime of the cluster, such as C(8h), C(30m) or C(2d), or C(none).
        type: str
        default: none
      deletion_protection:
        description: Whether the cluster is protected from deletion. Stored as a label.
        type: bool
        default: false
      node_pools:
        description:
          - The node pools of a standard cluster. Live node pools that are not listed are deleted.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name of the node pool.
            type: str
            required: true
          machine_type:
            description:
              - Machine type. The default corresponds to the former C(g1-small), half a processor
                with bursts and 2 GB; C(g1-small) itself is accepted where Google still offers it.
            type: str
            default: e2-small
          nodes:
            description: Nodes per zone; with O(cluster.node_pools.autoscaling) the initial number.
            type: int
            default: 3
          locations:
            description: Zones of the nodes. Defaults to those of the cluster.
            type: list
            elements: str
          autoscaling:
            description: Lets Google choose the number of nodes.
            type: dict
            suboptions:
              min:
                description: Minimum number of nodes per zone.
                type: int
                required: true
              max:
                description: Maximum number of nodes per zone.
                type: int
                required: true
          disk_type:
            description: Type of the boot disk.
            type: str
            default: pd-balanced
          disk_size_gb:
            description: Size of the boot disk in GB.
            type: int
            default: 50
          image_type:
            description: Operating system of the nodes.
            type: str
            default: COS_CONTAINERD
          spot:
            description: Whether the machines are Spot VMs, which cost less but can be preempted at
              any time.
            type: bool
            default: false
          service_account:
            description:
              - E-mail address of the nodes' service account. Use one that may only write logs and
                metrics and pull images. Defaults to the project's default service account.
            type: str
          oauth_scopes:
            description:
              - OAuth scopes of the nodes. With a custom service account, defaults to the cloud
                platform scope, which the account's roles limit. With the default service account,
                defaults to the few scopes that nodes need.
            type: list
            elements: str
          labels:
            description: Kubernetes labels of the nodes.
            type: dict
            default: {}
          taints:
            description: Taints of the nodes.
            type: list
            elements: dict
            default: []
            suboptions:
              key:
                description: Key.
                type: str
                required: true
              value:
                description: Value.
                type: str
                default: ''
              effect:
                description: What happens to pods that do not tolerate the taint.
                type: str
                required: true
                choices: [NoSchedule, PreferNoSchedule, NoExecute]
          tags:
            description: Network tags of the machines, for firewall rules.
            type: list
            elements: str
            default: []
          secure_boot:
            description: Whether the machines boot signed software only.
            type: bool
            default: true
          integrity_monitoring:
            description: Whether Google monitors the boot integrity of the machines.
            type: bool
            default: true
          auto_repair:
            description: Whether Google replaces broken nodes.
            type: bool
            default: true
          auto_upgrade:
            description: Whether Google upgrades the nodes.
            type: bool
            default: true
          upgrade:
            description:
              - How nodes are replaced by upgrades and by changes of machine type, disk or image.
            type: dict
            suboptions:
              strategy:
                description:
                  - V(SURGE) replaces nodes a few at a time; V(BLUE_GREEN) creates a complete second
                    set first.
                type: str
                choices: [SURGE, BLUE_GREEN]
                default: SURGE
              max_surge:
                description: Nodes that may exist in addition to the pool's size.
                type: int
                default: 1
              max_unavailable:
                description: Nodes that may be unavailable.
                type: int
                default: 0
              soak_seconds:
                description: With V(BLUE_GREEN), how long the old nodes are kept after the switch.
                type: int
                default: 0
"""
