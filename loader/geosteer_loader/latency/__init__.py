"""Round-trip times on disk: inputs are read, counted in a database, and become the file that the table `rtt` is made from."""
