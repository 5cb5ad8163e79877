"""Makes the picture of the page in the documentation: docs/map.webp. A developer runs it when the page changes.

cd tests && ../.venv/bin/python -m support.page_picture
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from support.browser import Browser
from support.data import ROOT
from support.web_site import Site
from support.world import SERVICE

TARGET = ROOT / "docs" / "map.webp"
LARGEST = 100_000
"""Bytes."""
SIZE = 1180, 820


def main() -> int:
    """Take the picture of a small world, one node of which is down; 1 where it is too large."""
    os.environ |= {"LOGNAME": "ann", "SUDO_USER": "ann"}  # not whoever makes it
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        try:
            site.run("node", "down", "gru1", "--why", "new disks")
            with Browser(Path(folder)) as browser:
                browser.look(*SIZE)
                browser.driver.get(f"{site.url}?service={SERVICE}")
                browser.wait("#node-rows", "does not serve")
                browser.run("pick('FR')")
                TARGET.write_bytes(browser.webp(*SIZE, quality=78))
        finally:
            site.close()
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")
    return int(TARGET.stat().st_size > LARGEST)


if __name__ == "__main__":
    sys.exit(main())
