"""The loader's Redis: connection, current, history, lease, objects, collector, Functions."""
