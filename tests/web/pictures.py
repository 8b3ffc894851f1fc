"""`python -m tests.web.pictures`: the pictures of the dashboard that the documents show."""

import os
import tempfile
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import sync_playwright

from tests.core.hives import hive_in
from tests.support import machine
from tests.web.looking import Look
from tests.web.scene import working_day
from tests.web.site import Site

FOLDER: Final = Path(__file__).parents[2] / "docs/images"
SHAPES: Final[dict[str, dict[str, Any]]] = {
    "dashboard-light": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "dashboard-dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "dashboard-phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
}


def main() -> None:
    """Draw them anew."""
    with tempfile.TemporaryDirectory(prefix="hh-", dir="/tmp") as home:
        os.environ["HYPERHIVE_HOME"] = home
        hive = hive_in(Path(home))
        with working_day(hive), Site(hive) as site, sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=machine.chromium(), args=["--no-sandbox", "--disable-gpu"])
            look = Look(site, chromium)
            for name, shape in SHAPES.items():
                look.page(reduced_motion="reduce", **shape).screenshot(path=FOLDER / f"{name}.png")
            look.close()
            chromium.close()
        hive.close()


if __name__ == "__main__":
    main()
