"""`geosteer-pipe`: the PowerDNS coprocess."""
