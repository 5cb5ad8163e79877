"""Prefix tables as Merkle pages: their format, how they are built, and how they are searched. No I/O."""
