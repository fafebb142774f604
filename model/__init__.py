"""The prediction API: `train` creates the model; `service` saves, loads and serves it."""
