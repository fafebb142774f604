"""The code around the model, which stays the same when the model is replaced."""
