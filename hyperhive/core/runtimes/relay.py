"""Joins stdin and stdout to a unix socket until either side ends."""

# It runs alone in containers without socat, on whatever Python is there: only what every Python 3 brings.
import _thread
import os
import socket
import sys


def pump(source: int, target: int) -> None:
    """Carry bytes from one descriptor to the other, then end the whole process."""
    try:
        data = os.read(source, 65536)
        while data:
            data = data[os.write(target, data) :] or os.read(source, 65536)
    except OSError:
        pass
    finally:
        os._exit(0)


if __name__ == "__main__":
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(sys.argv[1])
    _thread.start_new_thread(pump, (peer.fileno(), 1))
    pump(0, peer.fileno())
