"""What every agent is told about its place, before its role."""

from importlib import resources

from hyperhive.core.model import Flavor


def text(flavor: Flavor) -> str:
    """The prompt that the project ships for agents of this flavor; a manager is told what a worker is, and more."""
    match flavor:
        case Flavor.WORKER:
            return _read("worker.md")
        case Flavor.MANAGER:
            return _read("worker.md") + "\n" + _read("manager.md")


def _read(name: str) -> str:
    return resources.files("hyperhive.prompts").joinpath(name).read_text(encoding="utf-8")
