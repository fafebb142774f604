"""What serves a model over HTTP: never imported by what trains it."""
