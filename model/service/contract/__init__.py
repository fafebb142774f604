"""The interface between training and serving: features, the model card, the forms of a model."""
