"""What is published, followed: generations, node states, the snapshot on disk, and the tier that has them all."""
