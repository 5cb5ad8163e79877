"""How geodns names continents, and the groups of regions that it knows (its `regiongroup`)."""

from __future__ import annotations

CONTINENT_NAMES = {
    "africa": "AF", "antarctica": "AN", "asia": "AS", "europe": "EU", "north-america": "NA", "oceania": "OC",
    "south-america": "SA",
}  # fmt: skip
_GROUPS = {
    "us-west": ("US", "AK AZ CA CO HI ID MT NM NV OR UT WA WY"),
    "us-central": ("US", "AR IA IL IN KS LA MN MO ND NE OK SD TX WI"),
    "us-east": ("US", "AL CT DC DE FL GA KY MA MD ME MI MS NC NH NJ NY OH PA RI SC TN VA VT WV"),
    "ru-dfd": ("RU", "AMU BU CHU KAM KHA MAG PRI SA SAK YEV ZAB"),
    "ru-kfd": ("RU", "CE DA IN KB KC SE STA"),
    "ru-pfd": ("RU", "BA CU KIR ME MO NIZ ORE PNZ PER SAM SAR TA UD ULY"),
    "ru-sfd": ("RU", "ALT AL IRK KEM KK KYA NVS OMS TOM TY"),
    "ru-tfd": ("RU", "BEL BRY IVA KLU KOS KRS LIP MOW MOS ORL RYA SMO TAM TUL TVE VLA VOR YAR"),
    "ru-ufd": ("RU", "CHE KHM KGN SVE TYU YAN"),
    "ru-vfd": ("RU", "ARK KGD KR KO LEN MUR NEN NGR PSK SPE VLG"),
    "ru-yfd": ("RU", "AD AST KL KDA ROS VGG"),
}  # fmt: skip
REGION_GROUPS = {
    group: [f"{country}-{part}" for part in parts.split()] for group, (country, parts) in _GROUPS.items()
}
"""Group -> subdivisions (ISO 3166-2)."""
