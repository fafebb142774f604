"""Checks of predictions, of one application and of each replica of a workload."""
