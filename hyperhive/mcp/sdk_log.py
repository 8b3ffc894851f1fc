"""What the MCP SDK has to say, as lines of hyperhive's own log."""

import logging

from typing_extensions import override

from hyperhive.core.log import Log
from hyperhive.core.safe_text import clean


class SdkLog(logging.Handler):
    """Takes errors only, and shows what a peer wrote as harmless text."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.ERROR)
        self._log = log
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self._log(clean(self.format(record)))


def install(log: Log) -> None:
    """Send what the SDK logs to this log, in place of the console that it would take for itself."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, SdkLog):
            root.removeHandler(handler)
    root.addHandler(SdkLog(log))
