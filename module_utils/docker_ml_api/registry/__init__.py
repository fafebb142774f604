"""Image registries: access, and their manifests."""
