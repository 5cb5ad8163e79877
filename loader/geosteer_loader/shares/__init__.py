"""`geosteer shares`: how much of each region's demand each node should take, and what happens when a node closes."""
