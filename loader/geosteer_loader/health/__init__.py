"""Node health: probes, the state machine, verdicts of several probers, and what becomes of them in Redis."""
