"""The two states of a node, and how long and how far ahead times are believed; without what few commands need."""

from __future__ import annotations

UP, DOWN = STATES = ("up", "down")

DAY = 86400.0
"""Seconds after which what nobody keeps any more is removed: gone nodes, silent writers."""

AHEAD = 3600.0
"""Seconds that a time may lie in the future and still be believed: primaries' clocks differ, and a failover changes them."""
