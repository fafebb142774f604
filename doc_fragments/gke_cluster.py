"""Documentation that the modules for a wanted GKE cluster share."""


class ModuleDocFragment:
    """The cluster as it should be."""

    DOCUMENTATION = r"""
options:
  cluster:
    description: The cluster as it should be.
    type: dict
    required: true
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      location:
        description: A zone (C(europe-west1-b)) or a region (C(europe-west1)).
        type: str
        required: true
      mode:
        description:
          - With V(standard) the nodes are those of O(cluster.node_pools). With V(autopilot)
            Google manages them and bills by pod; it needs a region.
        type: str
        choices: [standard, autopilot]
        default: standard
      release_channel:
        description: By which Google keeps the versions current; V(NONE) for none.
        type: str
        choices: [RAPID, REGULAR, STABLE, EXTENDED, NONE]
        default: REGULAR
      kubernetes_version:
        description:
          - The oldest version to have, as in C(1.34), C(1.34.4-gke.1047000) or C(latest).
            Without it the release channel's. A newer one, to which Google has upgraded, is no
            difference.
        type: str
      network:
        description: The VPC network.
        type: str
        default: default
      subnetwork:
        description: The subnetwork; without it the network's own for the region.
        type: str
      pod_range:
        description:
          - Addresses of the pods, as a network (C(10.8.0.0/14)), a size (C(/16)) or the name of
            the subnetwork's secondary range. Without it Google chooses. The cluster is always
            VPC-native.
        type: str
      service_range:
        description: Addresses of the Services, in the same forms.
        type: str
      locations:
        description: Zones of the nodes; without them the zone, or Google's choice in the region.
        type: list
        elements: str
      private_nodes:
        description: Whether the nodes have no external addresses. They then need a Cloud NAT.
        type: bool
        default: false
      private_endpoint:
        description: Whether the API server has no external address; needs private nodes.
        type: bool
        default: false
      control_plane_range:
        description: Network of 16 addresses for the control plane of private nodes.
        type: str
      authorized_networks:
        description:
          - The networks that may reach the API server. Without it all may, with an empty list
            none but the cluster's own.
        type: list
        elements: dict
        suboptions:
          name:
            description: What it is shown as.
            type: str
            default: ''
          cidr:
            description: The network.
            type: str
            required: true
      workload_identity:
        description: Whether pods can have Google service accounts of their own.
        type: bool
        default: true
      shielded_nodes:
        description: Whether a node must prove to the cluster that it is one.
        type: bool
        default: true
      maintenance_window:
        description: When Google may upgrade; without it at any time.
        type: dict
        suboptions:
          start:
            description: Time in UTC.
            type: str
            required: true
          duration:
            description: From 4h, which it is without it, to 24h.
            type: str
          recurrence:
            description: Rule of RFC 5545, as in C(FREQ=WEEKLY;BYDAY=SA,SU); without it daily.
            type: str
      logging:
        description: Components whose logs Google collects; without it Google's choice.
        type: list
        elements: str
        choices: [SYSTEM_COMPONENTS, WORKLOADS, APISERVER, SCHEDULER, CONTROLLER_MANAGER]
      monitoring:
        description: Components whose metrics Google collects; without it Google's choice.
        type: list
        elements: str
        choices: [SYSTEM_COMPONENTS, APISERVER, SCHEDULER, CONTROLLER_MANAGER, STORAGE, HPA, POD,
                  DAEMONSET, DEPLOYMENT, STATEFULSET, CADVISOR, KUBELET, DCGM, JOBSET]
      labels:
        description:
          - Labels of the cluster. C(managed-by), C(created-at), C(ttl) and
            C(deletion-protection) are added. A live label that is not here is taken away, but
            for Google's (C(goog-…)).
        type: dict
        default: {}
      ttl:
        description: How long the cluster is wanted, as in C(8h), C(30m), C(2d), or C(none).
        type: str
        default: none
      deletion_protection:
        description: Whether the cluster is not to be deleted; it is kept as a label.
        type: bool
        default: false
      node_pools:
        description:
          - The node pools of a standard cluster. A live one that is not here is deleted.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Its name.
            type: str
            required: true
          machine_type:
            description:
              - Type of the machines. The default is what C(g1-small) was, half a processor with
                bursts and 2 GB; C(g1-small) itself is taken where Google still has it.
            type: str
            default: e2-small
          nodes:
            description: Nodes in each zone; with O(cluster.node_pools.autoscaling) at first.
            type: int
            default: 3
          locations:
            description: Zones of the nodes; without them the cluster's.
            type: list
            elements: str
          autoscaling:
            description: Lets Google choose how many nodes there are.
            type: dict
            suboptions:
              min:
                description: Fewest nodes in each zone.
                type: int
                required: true
              max:
                description: Most nodes in each zone.
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
            description: Whether the machines are Spot VMs, cheap and taken away at any time.
            type: bool
            default: false
          service_account:
            description:
              - E-mail address of the nodes' service account. Give one that may only write logs
                and metrics and read images; without it the project's default one is used.
            type: str
          oauth_scopes:
            description:
              - Scopes of the nodes. Without it the cloud platform's with a service account of
                one's own, which its roles limit, and the few that nodes need with the default
                one.
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
                description: What becomes of pods that do not tolerate it.
                type: str
                required: true
                choices: [NoSchedule, PreferNoSchedule, NoExecute]
          tags:
            description: Network tags of the machines, for firewall rules.
            type: list
            elements: str
            default: []
          secure_boot:
            description: Whether the machines start signed software only.
            type: bool
            default: true
          integrity_monitoring:
            description: Whether Google watches what the machines start.
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
              - How nodes are replaced by upgrades and by another machine type, disk or image.
            type: dict
            suboptions:
              strategy:
                description:
                  - V(SURGE) replaces nodes a few at a time; V(BLUE_GREEN) makes a whole second
                    set first.
                type: str
                choices: [SURGE, BLUE_GREEN]
                default: SURGE
              max_surge:
                description: Nodes that may be there beyond the pool's size.
                type: int
                default: 1
              max_unavailable:
                description: Nodes that may be missing.
                type: int
                default: 0
              soak_seconds:
                description: With V(BLUE_GREEN), how long the old nodes are kept after the move.
                type: int
                default: 0
"""
