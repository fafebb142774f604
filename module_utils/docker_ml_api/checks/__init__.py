"""Checks of predictions: one application, and each replica of a workload."""
