"""Every configuration that an agent can have, for tests that draw them."""

from hypothesis import strategies as st

from hyperhive.core.agent_config import AgentConfig, AgentLimits, McpServer, Mount, Tools
from hyperhive.core.model import OPERATOR, Network, Restart

# No NUL, and the signs that a TOML file could lose or read otherwise more often than chance would bring them.
TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from("\r\n\t\"'\\#\x7f\x85\u2028 "), max_size=20
)
COMMANDS = TEXT.filter(str.strip)
RULES = st.sampled_from(["Bash", "Read", "Bash(npm test:*)", "Bash(touch a,b)", 'Bash("é\\")', "mcp__x__y", "mcp__x__*"])
NAMES = st.sampled_from(["A", "B_1", "TZ", "_x"])
PATHS = st.text(st.characters(codec="utf-8", exclude_characters="\0."), max_size=10).map("/".__add__)
SERVERS = st.from_regex(r"[A-Za-z0-9-]{1,20}", fullmatch=True).filter(lambda name: name != "hyperhive")

CONFIGS = st.builds(
    AgentConfig,
    role=TEXT,
    model=st.sampled_from([None, "opus", "claude-x[1m]"]),
    send_to=st.lists(st.sampled_from(["*", OPERATOR, "ada", "bob-2"])).map(tuple),
    network=st.sampled_from(Network),
    restart=st.sampled_from(Restart),
    tools=st.builds(Tools, allow=st.lists(RULES).map(tuple), deny=st.lists(RULES).map(tuple)),
    env=st.dictionaries(NAMES, TEXT),
    limits=st.builds(
        AgentLimits,
        memory=st.sampled_from(["512M", "4G", "4096M", "999999G"]),
        tasks=st.integers(1, 4_194_304),
        turn_minutes=st.floats(0, 10_080, exclude_min=True),
    ),
    mounts=st.lists(
        st.builds(Mount, source=PATHS, target=PATHS.map("/mnt/x".__add__), mode=st.sampled_from(["ro", "rw"])), max_size=4
    ).map(tuple),
    build=st.lists(COMMANDS, max_size=4).map(tuple),
    mcp_servers=st.dictionaries(
        SERVERS,
        st.builds(
            McpServer,
            command=COMMANDS,
            args=st.lists(TEXT, max_size=3).map(tuple),
            env=st.dictionaries(NAMES, TEXT, max_size=3),
            allowed_tools=st.lists(st.sampled_from(["*", "send_message", "x-1"]), max_size=3).map(tuple),
        ),
        max_size=3,
    ),
)
