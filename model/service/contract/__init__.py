"""What training writes and serving reads: features, the card, the forms of a model."""
