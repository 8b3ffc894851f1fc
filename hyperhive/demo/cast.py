"""Who plays in the demo."""

from typing import Final

from hyperhive.core.model import AgentName

BOSS: Final = AgentName("boss")
"""The manager."""
ADA: Final = AgentName("ada")
"""The worker."""
