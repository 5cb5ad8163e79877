"""Samples of every text format that a table can be made from, in the shapes that their makers document."""

from __future__ import annotations

import io
import zipfile

GEO = {
    "csv": "192.0.2.0/24,GB\n2001:db8::/32,US-CA,37.75,-122.42\n",
    "csv with names": "network,country_code\n192.0.2.0/24,GB\n",
    "csv, semicolons": "192.0.2.0/24;GB\n2001:db8::/32;DE\n",
    "csv, joined with locations": "network,geoname_id,continent_code,country_iso_code\n1.0.0.0/24,1,OC,AU\n",
    "nerd": "$SOA 3600 a b 0 600 300 86400 300\n1.0.0.0/24 :127.0.0.36:au\n1.0.1.0-1.0.3.255 :127.0.0.156:cn\n",
    "ranges": "0.0.0.0,0.255.255.255,ZZ\n1.0.0.0,1.0.0.255,AU\n2001:db8::,2001:db8:ffff:ffff:ffff:ffff:ffff:ffff,DE\n",
    "ranges, quoted": '"1.0.0.0","1.0.0.255","AU"\n"1.0.1.0","1.0.3.255","CN"\n',
    "ranges, cities of DB-IP": '1.0.0.0,1.0.0.255,OC,AU,Queensland,"South Brisbane, West",-27.4767,153.017\n',
    "ranges, cities of ip-location-db": "1.0.0.0,1.0.0.255,AU,Queensland,,South Brisbane,4101,-27.4767,153.017,\n",
    "ranges, numbers": "16777216,16777471,AU\n16777472,16778239,CN\n",
    "ranges, tabs": "1.0.0.0\t1.0.0.255\tAU\n1.0.1.0\t1.0.3.255\tNone\n",
    "ranges with names": "start_ip,end_ip,country,country_name\n1.0.0.0,1.0.0.255,AU,Australia\n",
    "ip2location": '"0","16777215","-","-"\n"16777216","16777471","AU","Australia"\n',
    "ip2location, cities": '"16777216","16777471","AU","Australia","Queensland","Brisbane","-27.467540","153.028090"\n',
    "ip2location, IPv6": '"0","281470681743359","-","-"\n"281470698520576","281470698520831","AU","Australia"\n',
    "geolite2": "network,geoname_id,registered_country_geoname_id,is_anycast\n1.0.0.0/24,2077456,2077456,\n",
    "ipinfo": (
        "network,country,country_code,continent,continent_code,asn,as_name,as_domain\n"
        '1.0.0.0/24,Australia,AU,Oceania,OC,AS64500,"Cloud, Inc.",cloud.example\n'
    ),
    "ipinfo, JSON": (
        '{"network":"1.0.0.0/24","country":"Australia","country_code":"AU","continent":"Oceania","continent_code":"OC",'
        '"asn":"AS64500","as_name":"Cloud, Inc.","as_domain":"cloud.example"}\n'
    ),
    "rir": (
        "2|apnic|20240101|3|19830613|20231229|+1000\napnic|*|ipv4|*|2|summary\n"
        "apnic|AU|ipv4|1.0.0.0|256|20110811|assigned|A9\napnic||ipv4|1.0.8.0|256||available|\n"
    ),
    "rir, delegated": "2.3|ripencc|1700000000|1|19830705|20231101|+0100\nripencc|FR|ipv4|2.0.0.0|768|20100712|allocated\n",
    "geofeed": "# ours\n192.0.2.0/25,US,US-AL,Alabaster,\n2001:db8::/32,,,,\n",
    "geofeed, places alone": "192.0.2.0/25,US,,,\n",
}  # fmt: skip
"""Format, and what is special -> a file for the table `geo`; what is special comes after a comma or a blank."""

BGP = {
    "pyasn": "; IP-ASN32-DAT file\n8.8.8.0/24\t15169\n9.9.9.0/24 AS1.10\n",
    "prefix2as": "8.8.8.0\t24\t15169\n9.9.9.0\t24\t10_20\n",
    "bgpdump": "TABLE_DUMP2|1400824800|B|157.130.10.233|701|8.8.8.0/24|701 6453 15169|IGP|157.130.10.233|0|0||NAG||\n",
    "iptoasn": "8.8.8.0\t8.8.8.255\t15169\tUS\tGOOGLE\n8.8.9.0\t8.8.11.255\t0\tNone\tNot routed\n",
    "iptoasn, numbers": "134744064\t134744319\t15169\tUS\tGOOGLE\n",
    "riswhois": "% RIS\n15169\t8.8.8.0/24\t355\n{10,20}\t9.9.9.0/24\t7\n",
    "csv": '8.8.8.0,8.8.8.255,15169,"Google, LLC"\n',
    "csv of MaxMind": "network,autonomous_system_number,autonomous_system_organization\n8.8.8.0/24,15169,GOOGLE\n",
    "csv of IP2Location": '"0","16777215","0.0.0.0/8","-","-"\n"134744064","134744319","8.8.8.0/24","15169","Google LLC"\n',
    "ipinfo": GEO["ipinfo"].replace("1.0.0.0/24", "8.8.8.0/24").replace("AS64500", "AS15169"),
    "ipinfo, JSON": GEO["ipinfo, JSON"].replace("1.0.0.0/24", "8.8.8.0/24").replace("AS64500", "AS15169"),
}  # fmt: skip
"""The same for the table `bgp`."""

BLOCKS = (
    "network,geoname_id,registered_country_geoname_id,represented_country_geoname_id,is_anonymous_proxy,"
    "is_satellite_provider,postal_code,latitude,longitude,accuracy_radius,is_anycast\n"
)
LOCATIONS = (
    "geoname_id,locale_code,continent_code,continent_name,country_iso_code,country_name,subdivision_1_iso_code,"
    "subdivision_1_name,subdivision_2_iso_code,subdivision_2_name,city_name,metro_code,time_zone,is_in_european_union\n"
    "2077456,en,OC,Oceania,AU,Australia,,,,,,,Australia/Sydney,0\n"
    '6252001,en,NA,"North America",US,"United States",,,,,,,,0\n'
    '5332921,en,NA,"North America",US,"United States",CA,California,,,"San Francisco, Bay",807,America/Los_Angeles,0\n'
    "6255148,en,EU,Europe,,,,,,,,,,0\n"
)
BLOCKS4 = BLOCKS + (
    "1.0.0.0/24,2077456,2077456,,0,0,,-33.494,143.2104,1000,\n"
    "1.0.1.0/24,,6252001,,0,0,,,,,\n"
    "1.0.2.0/24,,,,0,0,,,,,\n"
    "1.0.3.0/24,6255148,6252001,,0,0,,,,,\n"
)
BLOCKS6 = BLOCKS + "2001:db8::/32,5332921,6252001,,0,0,94107,37.7749,-122.4194,5,\n"
PAIR = ["1.0.0.0/24 AU -33.49 143.21", "1.0.1.0/24 US", "1.0.3.0/24 @EU", "2001:db8::/32 US-CA 37.77 -122.42"]
"""The rows of these."""


def zipped(**members: str) -> bytes:
    """A zip archive; names of members with `_` for `-`."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(f"GeoLite2-CSV_20240101/{name.replace('_', '-')}.csv", text)
        archive.writestr("GeoLite2-CSV_20240101/LICENSE.txt", "Creative Commons")
    return file.getvalue()


def pair() -> bytes:
    """GeoLite2 City as MaxMind ships it."""
    return zipped(
        GeoLite2_City_Blocks_IPv4=BLOCKS4,
        GeoLite2_City_Blocks_IPv6=BLOCKS6,
        GeoLite2_City_Locations_de=LOCATIONS,
        GeoLite2_City_Locations_en=LOCATIONS,
    )
