"""`geosteer doctor`: every link of the chain from the loader's file to an answer by DNS, and the command that mends it."""
