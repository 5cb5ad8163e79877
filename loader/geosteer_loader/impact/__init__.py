"""What changes for whom between two generations. Pure."""
