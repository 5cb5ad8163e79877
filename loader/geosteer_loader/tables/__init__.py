"""Rows of the sources -> disjoint ranges -> pages."""
