"""RESP3 to one Redis, to the primary that Sentinel names, or to the node of a Cluster that has the slot."""
