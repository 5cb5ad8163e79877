"""One module per kind of health check."""
