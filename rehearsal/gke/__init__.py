"""A double of the Google APIs that a GKE run calls, as a standalone server."""
