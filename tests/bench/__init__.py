"""`bin/bench`: geosteer side by side with what one would use instead, on one machine, in one run."""
