"""GKE clusters: options, comparison, creation, changes, deletion, cost."""
