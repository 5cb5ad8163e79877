"""What each worker counts, in one file a worker, that outlives it; and how others read these files."""
