"""Serving a model over HTTP; the training code never imports this package."""
