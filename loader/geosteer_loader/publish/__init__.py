"""From a proposal to a generation: plan, guards, publish, rollback."""
