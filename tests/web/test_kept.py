"""What is kept of destroyed agents is seen with its size, and goes only when somebody says its name."""

import re

from hyperhive.core import agents, operate, operations, tombstones
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR, OperationState, Verb
from tests.core.hives import ADA
from tests.web.visitor import Visitor


def test_a_destroyed_agent_is_kept_with_what_it_holds(operator: Visitor, hive: Hive) -> None:
    assert 'id="kept-ada"' not in operator.get("/").text
    agents.destroy(hive, ADA, by=OPERATOR)
    notes = hive.paths.agent_state(ADA)
    notes.mkdir(parents=True)
    (notes / "notes.md").write_bytes(b"x" * 300_000)
    page = operator.get("/").text
    assert 'id="agent-ada"' not in page
    assert re.search(r'id="kept-ada".*?destroyed <time', page, re.DOTALL)
    size = operator.get("/agents/ada/size").text
    found = re.search(r"([\d.]+) KiB, changed <time", size)
    assert found is not None
    assert 290 < float(found[1]) < 400


def test_a_purge_is_asked_for_with_the_name_and_done_by_the_hive(operator: Visitor, hive: Hive) -> None:
    assert operator.post("/agents/ada/purge").status_code == 409
    agents.destroy(hive, ADA, by=OPERATOR)
    page = operator.get("/").text
    (form,) = re.findall(r'<form id="kept-ada-purge".*?>', page, re.DOTALL)
    assert 'data-exactly="ada"' in form
    assert "There is no way back." in form
    assert operator.post("/agents/ada/purge").status_code == 200
    assert "waits to be purged" in operator.get("/").text
    (asked,) = operations.listed(hive)
    assert (asked.verb, asked.state) == (Verb.PURGE, OperationState.PENDING)
    operate.run(hive, asked.number)
    assert tombstones.listed(hive) == []
    assert 'id="kept-ada"' not in operator.get("/").text
    assert operator.post("/agents/ada/purge").status_code == 404
