"""Whether the default gateway is there, from what the kernel knows."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from geosteer_loader.health.checks.gateway import answering, gateways, reachable
from support.servers import need

if TYPE_CHECKING:
    from pathlib import Path

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth1\t0000000A\t0102000A\t0003\t0\t0\t0\t000000FF\t0\t0\t0
tun0\t00000000\t00000000\t0001\t0\t0\t9\t00000000\t0\t0\t0
"""
ARP = """\
IP address       HW type     Flags       HW address            Mask     Device
192.0.2.1        0x1         {flags}         02:fc:00:00:00:05     *        eth0
192.0.2.9        0x1         0x0         00:00:00:00:00:00     *        eth0
192.0.2.1        0x1         0x0         00:00:00:00:00:00     *        eth1
"""


def test_only_default_routes_with_a_gateway_count() -> None:
    assert gateways(ROUTES) == [("192.0.2.1", "eth0")] or sys.byteorder == "big"


def test_a_neighbour_answers_where_its_hardware_address_is_known() -> None:
    assert answering(ARP.format(flags="0x2")) == {
        ("192.0.2.1", "eth0"): True,
        ("192.0.2.9", "eth0"): False,
        ("192.0.2.1", "eth1"): False,
    }


@pytest.mark.parametrize(
    ("routes", "neighbours", "there"),
    [
        (ROUTES, ARP.format(flags="0x2"), True),
        (ROUTES, ARP.format(flags="0x0"), False),
        (ROUTES, ARP.partition("\n")[0] + "\n", True),
        ("Iface\n", ARP.format(flags="0x0"), True),
        ("x\na b\n\n", "y\nz\n", True),
        (None, "", True),
    ],
    ids=["answers", "does not", "never asked", "no default route", "not as expected", "another kernel"],
)
def test_it_is_only_away_when_the_kernel_says_so(
    tmp_path: Path, routes: str | None, neighbours: str, there: bool
) -> None:
    if routes is not None:
        (tmp_path / "route").write_text(routes)
    (tmp_path / "arp").write_text(neighbours)
    assert reachable(tmp_path) is there


def test_a_gateway_that_does_not_answer_is_away() -> None:
    """In a network of its own, at whose other end nobody is."""
    setup = (
        "ip link add v0 type veth peer name v1 && ip addr add 10.9.9.2/24 dev v0 && ip link set v0 up && "
        "ip link set v1 up && ip route add default via 10.9.9.1"
    )
    code = (
        "import socket\nfrom geosteer_loader.health.checks.gateway import reachable\nbefore = reachable()\n"
        "s = socket.socket()\ns.settimeout(1)\n"
        "try:\n    s.connect(('192.0.2.9', 80))\nexcept OSError:\n    print(before, reachable())\n"
    )
    need("ip")
    command = [need("unshare"), "-rn", "sh", "-c", f'{setup} && exec "$0" -c "$1"', sys.executable, code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        pytest.skip(done.stderr)
    assert done.stdout == "True False\n"
