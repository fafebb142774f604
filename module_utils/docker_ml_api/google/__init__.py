"""Google's APIs: requests, credentials, errors."""
