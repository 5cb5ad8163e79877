"""Which AS may originate which prefix, as validators tell it, and what that makes of a route. Rules only."""
