"""A model on loopback whose answers are a script: enough of the Messages API for the real agent CLI to work with."""

import threading
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeAlias

from hyperhive.demo.endpoint import Endpoint
from hyperhive.demo.reply import Reply, fail
from hyperhive.demo.request import Json, Request, request_from

Brain: TypeAlias = Callable[[Request], Reply]


class ModelApi:
    """The server, from `with` to its end; a brain that raised makes the end raise too.

    Each request calls the brain in a thread of its own: several agents may ask at once.
    """

    def __init__(self, brain: Brain, *, port: int = 0) -> None:
        """Listen on 127.0.0.1, on a free port unless one is given."""
        self._brain = brain
        self._changed = threading.Condition()
        self._requests: list[Request] = []
        self._error: Exception | None = None
        self._endpoint = Endpoint(self._answer, port)
        # The interval is how long the end may take to be noticed, in seconds.
        self._thread = threading.Thread(target=self._endpoint.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """What ANTHROPIC_BASE_URL must be."""
        return f"http://127.0.0.1:{self._endpoint.server_port}"

    @property
    def requests(self) -> tuple[Request, ...]:
        """All questions so far, in the order of arrival."""
        with self._changed:
            return tuple(self._requests)

    def wait_for_requests(self, number: int, timeout: float) -> tuple[Request, ...]:
        """Wait until so many questions have come in all, at most `timeout` seconds; raise TimeoutError if they have not."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._requests) >= number, timeout):
                raise TimeoutError(f"{len(self._requests)} of {number} requests after {timeout} s")
            return tuple(self._requests)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._endpoint.shutdown()
        self._thread.join()
        self._endpoint.hang_up()
        self._endpoint.server_close()
        if self._error is not None and error is None:
            raise RuntimeError("the script of the model failed") from self._error

    def _answer(self, body: Json, headers: Mapping[str, str], arrived: float) -> tuple[Request, Reply]:
        with self._changed:
            request = request_from(body, headers, number=len(self._requests) + 1, arrived=arrived)
            self._requests.append(request)
            self._changed.notify_all()
        try:
            return request, self._brain(request)
        except Exception as error:
            with self._changed:
                self._error = self._error or error
            # 400, for the agent CLI asks again and again for three minutes after a 500.
            return request, fail(400, "invalid_request_error", f"the script of the model failed: {traceback.format_exc()}")
