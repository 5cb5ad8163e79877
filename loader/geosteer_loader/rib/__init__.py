"""Routes as they come: streams of updates, the sessions that they are of, and what these hold. No I/O; time is an argument."""
