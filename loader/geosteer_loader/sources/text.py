"""What text files of any kind have in common."""

from __future__ import annotations

BYTE_ORDER_MARK = "\ufeff"
"""What some editors put in front of a text file."""
