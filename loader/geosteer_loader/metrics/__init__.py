"""Metrics for Prometheus: what workers on this host have counted, and what Redis knows."""
