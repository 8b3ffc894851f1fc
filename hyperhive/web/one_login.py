"""At most one login of an agent at a time."""

import threading
from collections.abc import Callable

from hyperhive.core.errors import Conflict
from hyperhive.core.login_dialogue import Dialogue, Said


class Login:
    """The one login of an agent that is under way here, or was the last. `begin` makes one."""

    def __init__(self, begin: Callable[[], Dialogue]) -> None:
        self._begin = begin
        self._lock = threading.Lock()
        self._dialogue: Dialogue | None = None

    @property
    def said(self) -> Said | None:
        """What is to be seen of it."""
        return None if self._dialogue is None else self._dialogue.said

    def begin(self) -> None:
        """Let the agent CLI ask. Raises `Conflict` while it does."""
        with self._lock:
            if self._dialogue is not None and not self._dialogue.said.step.is_over:
                raise Conflict("it is being logged in already", hint="give that up first")
            self._dialogue = self._begin()
            self._dialogue.start()

    def give(self, code: str) -> None:
        """Hand over the code. Raises `Invalid`, and `Conflict` where none is asked for."""
        if self._dialogue is None:
            raise Conflict("no code is asked for", hint="begin anew")
        self._dialogue.give(code)

    def end(self) -> None:
        """Give it up, where one is under way."""
        if self._dialogue is not None:
            self._dialogue.end()
