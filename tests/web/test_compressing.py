"""A large page is small on its way, to whoever can read it then."""

import gzip

from hyperhive.core.hive import Hive
from hyperhive.core.model import AgentName
from tests.core.hives import add_agent
from tests.web.visitor import Visitor


def test_a_page_is_compressed_for_who_takes_it_so(operator: Visitor, hive: Hive) -> None:
    for number in range(50):
        add_agent(hive, AgentName(f"worker-{number}"))
    plain = operator.get("/")
    small = operator.get("/", Accept_Encoding="gzip, br")
    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in small.headers["Vary"]
    assert len(small.data) * 8 < len(plain.data)
    assert b'id="agent-worker-49"' in gzip.decompress(small.data)


def test_what_is_small_and_what_a_browser_keeps_is_sent_as_it_is(operator: Visitor) -> None:
    for path in ("/session", "/static/htmx.min.js", "/agents/ada/logs"):
        with operator.get(path, Accept_Encoding="gzip") as answer:
            assert "Content-Encoding" not in answer.headers
