"""Configurations of other systems, read by their own grammars and written as a geosteer.toml."""
