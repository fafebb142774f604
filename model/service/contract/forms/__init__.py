"""The forms in which a model is served, cheapest first."""
