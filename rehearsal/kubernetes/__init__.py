"""A real one-node Kubernetes on this machine: `python -m rehearsal.kubernetes up`."""
