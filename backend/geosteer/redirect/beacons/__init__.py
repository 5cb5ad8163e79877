"""Beacons: pages measure a few nodes and report; browsers report failures. Both are spooled for `geosteer latency ingest`."""
