"""Decisions for any Python program, from any of its threads."""
