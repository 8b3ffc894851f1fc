"""Reads what a program prints, and no more of it than was asked for."""

import os
import selectors
import shlex
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from hyperhive.core.errors import Expired
from hyperhive.core.process import TAIL, code_of, end_group

if TYPE_CHECKING:
    from hyperhive.core.process import Process

_CHUNK: Final = 65_536


class Output(msgspec.Struct, frozen=True):
    """What a program printed: the beginning of its output, the end of its errors.

    `code` is None for one that was ended because it said too much; `dropped` are the bytes of its output that were read
    but not kept.
    """

    code: int | None
    stdout: bytes
    stderr: bytes
    dropped: int

    @property
    def is_whole(self) -> bool:
        """All that it printed was kept."""
        return self.code is not None and not self.dropped


def collect(
    child: "Process", *, argv: Sequence[str], stdin: bytes = b"", most: int, beyond: int = 0, timeout: float = 60.0
) -> Output:
    """Give a program its input, keep the first `most` bytes of what it prints, and wait for its end.

    It was started with three pipes. After `beyond` more bytes, which are only counted, it is ended. Raises `Expired`
    when it took longer than `timeout` seconds.
    """
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    until = time.monotonic() + timeout
    kept, errors, dropped = bytearray(), bytearray(), 0
    to_write = memoryview(stdin)
    try:
        with selectors.DefaultSelector() as ready:
            for stream in (child.stdin, child.stdout, child.stderr):
                os.set_blocking(stream.fileno(), False)
            ready.register(child.stdin, selectors.EVENT_WRITE)
            ready.register(child.stdout, selectors.EVENT_READ)
            ready.register(child.stderr, selectors.EVENT_READ)
            while ready.get_map():
                left = until - time.monotonic()
                if left <= 0:
                    raise _too_slow(argv, timeout)
                for key, _ in ready.select(left):
                    if key.fileobj is child.stdin:
                        to_write = to_write[_written(child.stdin.fileno(), to_write) :]
                        if not to_write:
                            ready.unregister(child.stdin)
                            child.stdin.close()
                        continue
                    data = os.read(key.fd, _CHUNK)
                    if not data:
                        ready.unregister(key.fileobj)
                    elif key.fileobj is child.stderr:
                        errors += data
                        del errors[:-TAIL]
                    else:
                        room = most - len(kept)
                        kept += data[:room]
                        dropped += max(0, len(data) - room)
                        if dropped > beyond:
                            return Output(None, bytes(kept), bytes(errors), dropped)
        # Its output has ended, but it may go on all the same.
        code = code_of(child, max(0.0, until - time.monotonic()))
        if code is None:
            raise _too_slow(argv, timeout)
        return Output(code, bytes(kept), bytes(errors), dropped)
    finally:
        end_group(child)


def _written(fd: int, data: memoryview) -> int:
    try:
        return os.write(fd, data[:_CHUNK])
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        # It has heard enough; its exit code says whether that was right.
        return len(data)


def _too_slow(argv: Sequence[str], timeout: float) -> Expired:
    return Expired(f"{argv[0]} took longer than {timeout:g} seconds", hint=f"to see why: {shlex.join(argv)}")
