"""`geosteer shares`: which node should take how much of whose demand, and what happens when one closes."""
