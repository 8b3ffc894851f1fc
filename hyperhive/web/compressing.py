"""What is large goes compressed to whoever takes it so."""

import gzip
from typing import Final

from flask import Flask, Response, request

# Below this it is one packet either way, in bytes.
_LEAST: Final = 2048
# A page of a thousand agents: a sixtieth of a second, and a twentieth of its size.
_LEVEL: Final = 4


def compress(app: Flask) -> None:
    """Compress an app's pages and parts of pages. Files are sent as they lie there: a browser keeps them.

    What an agent wrote and the token of a session stand in one page, so its length tells something of both. Whoever could
    read lengths on the wire cannot have the page sent at will: no other site brings the cookie.
    """

    @app.after_request
    def squeeze(response: Response) -> Response:
        if response.direct_passthrough or response.status_code != 200 or not request.accept_encodings.quality("gzip"):
            return response
        data = response.get_data()
        if len(data) >= _LEAST:
            response.set_data(gzip.compress(data, _LEVEL, mtime=0))
            response.headers["Content-Encoding"] = "gzip"
            response.vary.add("Accept-Encoding")
        return response
