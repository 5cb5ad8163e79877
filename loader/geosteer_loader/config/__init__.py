"""The parts of a configuration file, each read and checked by its own module."""
