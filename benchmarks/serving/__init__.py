"""Speed, size and startup time of the prediction service, compared with other model servers."""
