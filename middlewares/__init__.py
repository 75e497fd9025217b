"""Steps around every request: authentication, the request log, security headers, body timeouts."""
