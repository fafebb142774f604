"""Kubernetes: access to a cluster, objects, rollouts, releases."""
