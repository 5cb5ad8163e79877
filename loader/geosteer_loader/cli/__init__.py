"""The `geosteer` command: one module per command, and `text/` for the words that they print."""
