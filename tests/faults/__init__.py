"""What breaks, row by row, against real servers under load: `python -m faults` in this folder's parent prints the table."""
