"""A page of another site, open in the browser in which the operator is logged in, does and sees nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect
from typing_extensions import override

from hyperhive.core import operations, questions
from hyperhive.core.hive import Hive
from tests.core.hives import ADA
from tests.web.looking import Look
from tests.web.site import Site

pytestmark = pytest.mark.browser

# What a page can try on the dashboard at `there`: it says at the end what came of each.
EVIL = """<!doctype html><title>trying</title>
<iframe name="sink"></iframe><iframe id="framed" src="THERE/"></iframe>
<form id="plain" method="post" action="THERE/agents/ada/destroy" target="sink"><input name="csrf_token" value="x"></form>
<form id="text" method="post" action="THERE/questions/NUMBER/answer" target="sink" enctype="text/plain">
<input name="text" value="yes"></form>
<script>
const there = "THERE", came = {};
async function attempt(name, what) {
  try { came[name] = String(await what()); } catch (error) { came[name] = "refused"; }
}
function socket(url) {
  return new Promise((resolve, reject) => {
    const one = new WebSocket(url);
    one.onopen = () => { one.send('{"have": {}}'); };
    one.onmessage = (event) => resolve(event.data);
    one.onerror = () => reject(new Error("refused"));
  });
}
(async () => {
  document.getElementById("plain").submit();
  document.getElementById("text").submit();
  await attempt("read", async () => (await fetch(there + "/", { credentials: "include" })).text());
  await attempt("opaque", async () => (await fetch(there + "/agents/ada/stop", {
    method: "POST", mode: "no-cors", credentials: "include" })).type);
  await attempt("headers", async () => (await fetch(there + "/agents/ada/stop", {
    method: "POST", credentials: "include", headers: { "HX-Request": "true", "X-CSRFToken": "x" } })).status);
  await attempt("socket", () => socket(there.replace("http", "ws") + "/live"));
  await attempt("script", () => new Promise((resolve, reject) => {
    const one = document.createElement("script");
    one.src = there + "/session"; one.onload = () => resolve("ran"); one.onerror = () => reject(new Error("refused"));
    document.body.append(one);
  }));
  let seen = "nothing";
  try { seen = document.getElementById("framed").contentDocument.body.innerText; } catch (error) { seen = "refused"; }
  came.framed = seen;
  const said = document.createElement("pre");
  said.id = "said"; said.textContent = JSON.stringify(came); document.body.append(said);
})();
</script>"""


@contextmanager
def serving(page: str) -> Iterator[str]:
    """Another site, on another port of this machine: for a browser's cookies that is the same site."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        @override
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_another_site_does_and_sees_nothing(look: Look, site: Site, hive: Hive, name: str) -> None:
    asked = questions.ask(hive, asker=ADA, text="May I?")
    mine = look.page()
    there = site.url.replace("127.0.0.1", name)
    with serving(EVIL.replace("THERE", there).replace("NUMBER", str(asked.number))) as evil:
        page = mine.context.new_page()
        page.goto(evil)
        said = page.locator("#said")
        expect(said).to_be_attached()
        came = page.evaluate("JSON.parse(document.querySelector('#said').textContent)")
        page.close()
    assert came == dict.fromkeys(("read", "opaque", "headers", "socket", "script", "framed"), "refused")
    assert operations.listed(hive, everything=True) == []
    assert questions.get(hive, asked.number).outcome is None
    # What the operator does is done all the same.
    mine.locator("#agent-ada").get_by_role("button", name="stop").click()
    expect(mine.locator("#agent-ada .busy")).to_be_visible()
