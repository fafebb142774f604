"""The GKE run on this machine: the implementation of scripts/rehearse and scripts/rehearse-stop."""
