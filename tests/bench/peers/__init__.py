"""What geosteer-pipe is compared with: coprocesses as one would write them, each on its own."""
