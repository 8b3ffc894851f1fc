"""Imports go down or sideways, never up; faces do not know each other."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "hyperhive"

# From the ground up. A name that is a package stands for all that is in it.
FLOORS: dict[str, tuple[str, ...]] = {
    "ground": (
        "", "core", "core.as_json", "core.changes", "core.errors", "core.forked", "core.log", "core.output", "core.overrides",
        "core.process", "core.safe_text", "core.tool_words", "core.waiting", "core.words",
    ),
    "values": (
        "core.agent_config", "core.agent_toml", "core.agent_view", "core.api_hosts", "core.client_hello", "core.config",
        "core.config_changes", "core.crontab", "core.model", "core.paths", "core.proxy_request", "core.services", "core.since",
        "prompts",
    ),
    "resources": (
        "core.agent_log", "core.api_gate", "core.applied", "core.beneath", "core.cgroup_trees", "core.cgroups",
        "core.claude", "core.cli_process", "core.columns", "core.control_group", "core.db", "core.doorbell",
        "core.error_lines", "core.events", "core.folders", "core.gate_connection", "core.git", "core.git_export",
        "core.git_objects", "core.git_trees", "core.hive", "core.hub_link", "core.hub_units", "core.hub_workers",
        "core.journald", "core.listening", "core.locks", "core.log_file", "core.long_result", "core.meta",
        "core.migrations", "core.programs", "core.proposed", "core.reserve", "core.runtimes", "core.systemd",
        "core.tables", "core.terminal", "core.tool_request", "core.transfer", "core.units", "core.user_scope",
    ),
    "use-cases": (
        "core.access", "core.agent_record", "core.agents", "core.approvals", "core.awaited", "core.bases", "core.box",
        "core.build_lines", "core.building", "core.builds", "core.cli_session", "core.commits", "core.conditions",
        "core.container_root", "core.containers", "core.crash_watch", "core.custody", "core.deploying",
        "core.deployments", "core.doctor", "core.eligibility", "core.follow", "core.harness", "core.holding",
        "core.housekeeping", "core.hub", "core.hub_harnesses", "core.hub_operations", "core.hub_sockets",
        "core.identity", "core.install", "core.interventions", "core.journal", "core.journals", "core.kept_state", "core.leases",
        "core.letters", "core.login", "core.login_command", "core.login_dialogue", "core.messages", "core.notices",
        "core.numbers", "core.observations", "core.open_turn", "core.operate", "core.operations", "core.pending",
        "core.permits", "core.proposals", "core.publishing", "core.question_limits", "core.questions", "core.readings",
        "core.remains", "core.requests", "core.restarts", "core.rests", "core.reviews", "core.roster", "core.spawning",
        "core.tombstones", "core.tool_rules", "core.turn_desk", "core.turns", "core.up", "core.usage", "core.vacuum",
        "core.vacuum_builds", "core.vacuum_events", "core.vacuum_logs", "core.vacuum_rows", "core.wishes",
    ),
    "faces": (
        "__main__", "cli", "demo", "mcp", "web",
    ),
}  # fmt: skip
FACES = ("cli", "demo", "mcp", "web")
# Who starts another face does so inside the command, which also keeps every other command quick to start.
STARTS_FACES = "cli"


def name_of(path: Path) -> str:
    """A module's name below the package: `core.agents`, `core.runtimes`, `` for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def floor_of(module: str) -> int:
    """How high a module stands. The longest name in the table that the module's name begins with decides."""
    heights = {name: height for height, names in enumerate(FLOORS.values()) for name in names}
    packages = {name for name in heights if name not in ("", "core")}
    above = [name for name in heights if module == name or (name in packages and module.startswith(f"{name}."))]
    if not above:
        raise LookupError(f"{module} is in no floor: enter it in FLOORS")
    return heights[max(above, key=len)]


def face_of(module: str) -> str | None:
    first = module.partition(".")[0]
    return first if first in FACES else None


def imports_of(module: str, tree: ast.Module) -> list[tuple[str, bool]]:
    """Each import of the package's own modules, with whether it stands inside a function."""
    found: list[tuple[str, bool]] = []

    def visit(node: ast.AST, in_function: bool) -> None:
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        match node:
            case ast.Import(names=names):
                targets = [alias.name for alias in names]
            case ast.ImportFrom(module=str(source), names=names):
                # `from hyperhive.core import agents` names a module, `from hyperhive.core.agents import spawn` does not.
                whole = [f"{source}.{alias.name}" for alias in names]
                targets = [name if name.removeprefix("hyperhive.") in MODULES else source for name in whole]
            case _:
                targets = []
        for target in targets:
            if target == "hyperhive" or target.startswith("hyperhive."):
                found.append((target.removeprefix("hyperhive").removeprefix("."), inside))
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(tree, False)
    return found


def faults(module: str, tree: ast.Module) -> list[str]:
    """What is wrong with a module's imports, one sentence each."""
    height = floor_of(module)
    wrong: list[str] = []
    for target, in_function in imports_of(module, tree):
        if floor_of(target) > height:
            wrong.append(f"{module} imports {target}, which stands above it")
        here, there = face_of(module), face_of(target)
        if here and there and here != there:
            if here != STARTS_FACES:
                wrong.append(f"{module} imports {target}: {here} is not the face that starts others")
            elif not in_function:
                wrong.append(f"{module} imports {target} outside the command that starts it")
    return wrong


def test_a_module_that_is_in_no_floor_is_found() -> None:
    with pytest.raises(LookupError, match="nonsense is in no floor"):
        floor_of("core.nonsense")


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_or_sideways(module: str) -> None:
    assert not faults(module, ast.parse(MODULES[module].read_text()))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core.errors", "from hyperhive.core import model"),
        ("core.model", "from hyperhive.core.db import Store"),
        ("core.db", "def f():\n    import hyperhive.core.messages"),
        ("core.messages", "import hyperhive.cli.main"),
        ("cli.hub", "from hyperhive.mcp import server"),
        ("mcp.server", "def f():\n    from hyperhive.cli import main"),
    ],
)
def test_an_import_that_goes_up_or_across_is_found(module: str, source: str) -> None:
    assert len(faults(module, ast.parse(source))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core.messages", "from hyperhive.core import turns, errors"),
        ("cli.hub", "def hub():\n    from hyperhive.mcp import server"),
        ("cli.agents", "import hyperhive.cli.render\nimport subprocess"),
    ],
)
def test_an_import_that_goes_down_or_sideways_is_no_fault(module: str, source: str) -> None:
    assert not faults(module, ast.parse(source))
