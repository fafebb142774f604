"""Google's APIs: requests, logins, refusals."""
