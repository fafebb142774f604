"""Docker engines: where they are, what they can do, their images, Windows machines."""
