"""`geosteer follow`: the service that publishes what its sources say, as soon as they are whole and quiet."""
