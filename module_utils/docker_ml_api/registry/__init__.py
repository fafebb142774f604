"""Image registries: access, and the manifests that they hold."""
