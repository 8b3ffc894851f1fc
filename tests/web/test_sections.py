"""An agent's journal and configuration are loaded when they are asked for."""

import re

from hyperhive.core import agent_log, reviews, spawning
from hyperhive.core.agent_config import AgentConfig
from hyperhive.core.agent_log import Unit
from hyperhive.core.hive import Hive
from hyperhive.core.model import OPERATOR
from tests.core.hives import ADA, EVE
from tests.web.visitor import Visitor


def fill(hive: Hive) -> None:
    hive.paths.agent_log(ADA).mkdir(parents=True)
    for unit in Unit:
        log = agent_log.open_log(hive, ADA, unit)
        log(f"of the {unit} <b>itself</b>")


def test_a_journal_is_shown_of_one_unit_or_of_all(operator: Visitor, hive: Hive) -> None:
    assert "nothing was written yet" in operator.get("/agents/ada/logs").text
    fill(hive)
    for address, units in (
        ("/agents/ada/logs", set(Unit)),
        ("/agents/ada/logs?unit=", set(Unit)),
        ("/agents/ada/logs?unit=harness", {Unit.HARNESS}),
        ("/agents/ada/logs?unit=container", {Unit.CONTAINER}),
    ):
        text = operator.get(address).text
        assert {unit for unit in Unit if f"of the {unit} &lt;b&gt;itself&lt;/b&gt;" in text} == units
    assert operator.get("/agents/ada/logs?unit=<b>kernel</b>").status_code == 422
    assert operator.get("/agents/nobody/logs").status_code == 404


def test_a_configuration_is_shown_with_what_deployed_it(operator: Visitor, hive: Hive) -> None:
    assert "nothing was ever deployed for ada" in operator.get("/agents/ada/configuration").text
    spawning.spawn(hive, EVE, runtime="host", config=AgentConfig(role="<b>You</b> look after the roses."), by=OPERATOR)
    now = reviews.current(hive, EVE)
    text = operator.get("/agents/eve/configuration").text
    assert "&lt;b&gt;You&lt;/b&gt; look after the roses." in text
    assert f"deployment {now.number} (spawn) by operator" in re.sub(r"\s+", " ", text)
    assert f'href="/repositories/eve/{now.commit}"' in text
