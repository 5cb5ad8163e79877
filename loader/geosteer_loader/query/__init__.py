"""Questions about what is published: lookup, explain, status, mismatch."""
