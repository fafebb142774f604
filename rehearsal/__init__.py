"""Local replacements for the cloud services that a real run uses."""
