"""The prediction API: `train` makes the model, `service` saves, loads and serves it."""
