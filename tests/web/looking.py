"""The operator in front of a real browser, who notices whatever goes wrong in it."""

from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, expect

from tests.web.site import Site

# In milliseconds.
PATIENCE: Final = 20_000
# What a browser says of a server that is away, which some tests take away.
_AWAY: Final = (
    "htmx:ws:error",
    "net::ERR_CONNECTION",
    "WebSocket connection",
    "Failed to fetch",
    "Failed to load resource",
    "NetworkError",
)

expect.set_options(timeout=PATIENCE)


class Look:
    """Pages of one browser that has logged in."""

    def __init__(self, site: Site, chromium: Browser) -> None:
        self.site = site
        self.wrong: list[str] = []
        self.expects_trouble = False
        self._chromium = chromium
        self._contexts: list[BrowserContext] = []

    def page(self, *, script: str = "", **how: Any) -> Page:
        """The dashboard, open in a browser of its own; `how` is what the browser is like, and `script` runs before any page's."""
        context = self._chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE)
        if script:
            context.add_init_script(script)
        page = context.new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("dialog", self._refuse)
        page.goto(self.site.link)
        page.wait_for_url(f"{self.site.url}/")
        # The page has said what it has, and was told what time it is.
        expect(page.locator("html[data-live=yes]")).to_be_attached()
        return page

    def close(self) -> None:
        """Close all, and fail where a browser complained: of script that was kept from running, of what it could not load."""
        for context in self._contexts:
            context.close()
        wrong = [one for one in self.wrong if not (self.expects_trouble and any(word in one for word in _AWAY))]
        assert not wrong, wrong

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"{message.type}: {message.text} {message.location.get('url')}")

    def _refuse(self, dialog: Dialog) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()
