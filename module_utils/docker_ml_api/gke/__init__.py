"""GKE clusters: wanted, compared, created, changed, deleted, paid for."""
