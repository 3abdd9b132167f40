"""The port that researchers reach: mutual TLS, a share for each, and the datasite's own routes."""
