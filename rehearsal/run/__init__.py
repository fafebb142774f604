"""The GKE run on this machine: what scripts/rehearse and scripts/rehearse-stop do."""
