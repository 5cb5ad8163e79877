"""Which node a client gets: model, client subnet, node state, layers and policies. Pure: no I/O, no clock."""
