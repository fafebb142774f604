"""Docker engines: their addresses, capabilities and images, and Windows machines."""
