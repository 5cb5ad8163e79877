"""Debian's Chromium without a screen, driven by selenium."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from support.servers import need, wait_until

if TYPE_CHECKING:
    from selenium.webdriver.remote.webelement import WebElement

SWITCHES = ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", "--disable-dev-shm-usage")
"""The sandbox does not work for root; /dev/shm is small in containers."""
SCREENSHOTS = "GEOSTEER_SCREENSHOTS"
"""Environment variable: the folder that keeps screenshots; without it they go where pytest keeps temporary files."""


class Browser:
    """One window. Without Chromium or selenium the test is skipped, or fails where `CI` is set."""

    def __init__(self, folder: Path) -> None:
        chromium, driver = need("chromium"), need("chromedriver")
        try:
            from selenium import webdriver
            from selenium.webdriver.chrome.options import Options
            from selenium.webdriver.chrome.service import Service
        except ModuleNotFoundError:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(
                "selenium is not installed (bin/setup tests)"
            )
        options = Options()
        options.binary_location = chromium
        for switch in (*SWITCHES, f"--user-data-dir={folder / 'profile'}"):
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(driver))
        self.driver.set_page_load_timeout(60)
        self._shots = Path(os.environ.get(SCREENSHOTS) or folder / "screenshots")
        self._shots.mkdir(parents=True, exist_ok=True)

    def look(self, width: int = 1280, height: int = 900, *, dark: bool = False, still: bool = True) -> None:
        """As on a screen of that size, for somebody who prefers that."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        wishes = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if still else "no-preference",
        }
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def find(self, selector: str) -> WebElement:
        """The first element of a CSS selector."""
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        """What a person reads there."""
        return str(self.find(selector).text)

    def run(self, script: str, *arguments: Any) -> Any:
        """What JavaScript returns."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, selector: str, part: str, seconds: float = 30) -> None:
        """Until a part of a text is there."""
        wait_until(lambda: part in self.text(selector), seconds, f"{part!r} in {selector}")

    def errors(self) -> list[str]:
        """What the console complains of since the last call."""
        entries: list[dict[str, Any]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [str(entry["message"]) for entry in entries if entry["level"] == "SEVERE"]

    def shot(self, name: str) -> Path:
        """Keep a picture of the window."""
        path = self._shots / f"{name}.png"
        self.driver.save_screenshot(str(path))
        return path

    def webp(self, width: int, height: int, quality: int) -> bytes:
        """A small picture of the window."""
        asked = {
            "format": "webp",
            "quality": quality,
            "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1},
        }
        return base64.b64decode(self.driver.execute_cdp_cmd("Page.captureScreenshot", asked)["data"])

    def close(self) -> None:
        """End it."""
        self.driver.quit()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
