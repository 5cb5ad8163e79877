"""Round-trip times that clients measured: inputs, histograms, estimates, and what is published of them; no I/O."""
