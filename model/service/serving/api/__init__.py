"""The HTTP API by what it offers: one blueprint a module."""
