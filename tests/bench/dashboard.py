"""How quick the dashboard is with many agents, and what it needs while many of them talk and many look."""

import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hyperhive.core.doorbell import say_changed
from hyperhive.core.hive import Hive, open_hive
from hyperhive.core.model import AgentName, Outcome
from hyperhive.core.process import descendants
from tests.bench import processes
from tests.bench.crowd import crowd
from tests.bench.figures import Aim, Figure, Sample, Unit
from tests.bench.ground import folder
from tests.core.hives import begin, end, send
from tests.web.reader import PATIENCE, Reader
from tests.web.site import Site

MANY: Final = 1000
TALKING: Final = 50
PAGES: Final = 20
ROUNDS: Final = 100
# How long many talk, and how often each of them ends a turn and writes an event, in seconds.
SECONDS: Final = 10.0
TURN: Final = 2.0
EVENTS: Final = 5


def measure(base: Path) -> Iterator[Figure]:
    """A page over a thousand agents; what happens, on its way to a page; a busy hive that many look at."""
    hive = _hive(base, "many", MANY)
    with Site(hive) as site:
        seconds, size = _page(site, site.cookie)
        again = tuple(_page(site, site.cookie)[0] for _ in range(10))
    hive.close()
    what = f"page over {MANY} agents"
    yield Figure("dashboard.first", Sample(f"the first {what}", (seconds,)), aim=Aim(median=0.3))
    yield Figure("dashboard.page", Sample(f"a later {what}", again), aim=Aim(median=0.3))
    yield Figure("dashboard.bytes", Sample(f"{what}, on the wire", (size,)), Unit.BYTES, aim=Aim(median=150e3))

    hive = _hive(base, "talking", TALKING)
    with Site(hive) as site:
        found = tuple(_seen(hive, site))
        yield Figure("dashboard.event", Sample("a commit until a page is told of it", found), aim=Aim(worst=0.15))
        yield Figure(
            "dashboard.busy",
            Sample(f"processor, {TALKING} agents talk and {PAGES} pages are open", (_busy(hive, site),)),
            Unit.SHARE,
            aim=Aim(median=0.5),
        )
    hive.close()


def _hive(base: Path, name: str, agents: int) -> Hive:
    hive = open_hive({"HYPERHIVE_HOME": str(folder(base, f"web-{name}"))})
    crowd(hive, agents)
    return hive


def _page(site: Site, cookie: str) -> tuple[float, int]:
    asked = urllib.request.Request(f"{site.url}/", headers={"Cookie": cookie, "Accept-Encoding": "gzip"})
    began = time.perf_counter()
    with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
        size = len(answer.read())
    return time.perf_counter() - began, size


def _seen(hive: Hive, site: Site) -> Iterator[float]:
    page = _open(site)
    for number in range(ROUNDS):
        name = f"agent-{number % TALKING + 1}"
        send(hive, to=name)
        began = time.perf_counter()
        while f"{name}-live" not in str(page.hear()):
            pass
        yield time.perf_counter() - began
    page.socket.close()


def _busy(hive: Hive, site: Site) -> float:
    pages = [_open(site) for _ in range(PAGES)]
    for page in pages:
        threading.Thread(target=_listen, args=(page,), daemon=True).start()
    serving = [site.pid, *descendants(site.pid)]
    before = {pid: processes.busy_seconds(pid) for pid in serving}
    began = time.monotonic()
    epochs: dict[str, int] = {}
    for turn in range(int(SECONDS / TURN)):
        for number in range(TALKING):
            name = AgentName(f"agent-{number + 1}")
            due = began + turn * TURN + number * TURN / TALKING
            time.sleep(max(0.0, due - time.monotonic()))
            send(hive, to=name)
            epochs[name], begun = begin(hive, name, epoch=epochs.get(name))
            for _ in range(EVENTS):
                say_changed(hive.paths)
            end(hive, epochs[name], begun.number, Outcome.OK, name)
    seconds = time.monotonic() - began
    busy = sum(processes.busy_seconds(pid) - before[pid] for pid in serving)
    for page in pages:
        page.socket.close()
    return busy / seconds


def _open(site: Site) -> Reader:
    page = Reader.open(site.url, cookie=site.cookie)
    page.say({})
    page.hear()
    return page


def _listen(page: Reader) -> None:
    try:
        while isinstance(page.hear(), str):
            pass
    except (AssertionError, OSError):
        # It was closed.
        return
