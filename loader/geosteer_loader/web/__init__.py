"""The map of who serves whom: as one picture, and as a page that follows what is published."""
