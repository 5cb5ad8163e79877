"""The zone as the peer workers have it: settings as constants. `bench.zone` gives the same to everybody else."""

ZONE = "cdn.example.net"
NAME = "www.cdn.example.net"
NAMES = (NAME, *(f"site{number}.{ZONE}" for number in range(2, 9)))
"""All services that the peer worker knows; the others are like the first."""
TTL = 60
NODES = {
    "lon1": ("192.0.2.1", "2001:db8:1::1"),
    "ams1": ("192.0.2.2", "2001:db8:2::1"),
    "fra1": ("192.0.2.3", "2001:db8:3::1"),
    "nyc1": ("192.0.2.4", "2001:db8:4::1"),
    "lax1": ("192.0.2.5", "2001:db8:5::1"),
    "gru1": ("192.0.2.6", "2001:db8:6::1"),
    "jnb1": ("192.0.2.7", "2001:db8:7::1"),
    "sin1": ("192.0.2.8", "2001:db8:8::1"),
    "syd1": ("192.0.2.9", "2001:db8:9::1"),
    "nrt1": ("192.0.2.10", "2001:db8:a::1"),
}
COUNTRIES = {
    "GB": "lon1", "IE": "lon1", "NL": "ams1", "BE": "ams1", "DE": "fra1", "AT": "fra1", "CH": "fra1", "PL": "fra1",
    "US": "nyc1", "CA": "nyc1", "MX": "lax1", "BR": "gru1", "ZA": "jnb1", "JP": "nrt1", "KR": "nrt1", "TW": "nrt1",
    "IN": "sin1", "SG": "sin1", "ID": "sin1", "NZ": "syd1",
}  # fmt: skip
CONTINENTS = {"EU": "ams1", "NA": "nyc1", "SA": "gru1", "AF": "jnb1", "AS": "sin1", "OC": "syd1"}
DEFAULT = "nyc1"

SOA = (
    f"DATA\t0\t1\t{ZONE}\tIN\tSOA\t300\t1\t"
    "ns1.example.net hostmaster.example.net 1769904000 3600 600 604800 30\nEND\n"
).encode()


def records(node: str, scope: int, name: str = NAME) -> bytes:
    """The reply to ANY, protocol version 3."""
    a, aaaa = NODES[node]
    return (
        f"DATA\t{scope}\t1\t{name}\tIN\tA\t{TTL}\t1\t{a}\nDATA\t{scope}\t1\t{name}\tIN\tAAAA\t{TTL}\t1\t{aaaa}\nEND\n"
    ).encode()
