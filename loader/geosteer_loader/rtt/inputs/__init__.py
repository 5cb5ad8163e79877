"""Readers of what measures: each turns lines into samples, and counts what it leaves out."""
