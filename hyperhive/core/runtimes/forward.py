"""Joins a port on the container's loopback to a unix socket, beside the program that it becomes."""

# It runs alone in containers without socat, on whatever Python is there: only what every Python 3 brings.
import contextlib
import os
import socket
import sys
import threading

# Connections at once; more wait.
MOST = 64
# How long a client may go on when nothing more comes back, in seconds; socat's own time for it.
LEAVE_MOST = 0.5


def pump(source: socket.socket, target: socket.socket) -> None:
    """Carry bytes one way until either side ends, then tell the other."""
    try:
        data = source.recv(65536)
        while data:
            target.sendall(data)
            data = source.recv(65536)
    except OSError:
        pass
    close(target, socket.SHUT_WR)


def close(end: socket.socket, way: int) -> None:
    """End one way of a connection, or both; it may have ended already."""
    with contextlib.suppress(OSError):
        end.shutdown(way)


def join(client: socket.socket, path: str, places: threading.Semaphore) -> None:
    """Carry one connection to the socket and back; what comes back decides how long."""
    try:
        with client, socket.socket(socket.AF_UNIX) as peer:
            peer.connect(path)
            up = threading.Thread(target=pump, args=(client, peer), daemon=True)
            up.start()
            pump(peer, client)
            # Time to take the answer before the line goes dead.
            up.join(LEAVE_MOST)
            for end in (client, peer):
                close(end, socket.SHUT_RDWR)
            up.join()
    except (OSError, RuntimeError):
        # The gate is closed, or no thread is to be had: whoever asks again may find it otherwise.
        pass
    finally:
        places.release()


def serve(listener: socket.socket, path: str) -> None:
    """Carry every connection, for ever: the container's end is the end of this."""
    places = threading.Semaphore(MOST)
    while True:
        places.acquire()
        client, _ = listener.accept()
        try:
            threading.Thread(target=join, args=(client, path, places), daemon=True).start()
        except RuntimeError:
            client.close()
            places.release()


def main(port: int, path: str, command: "list[str]") -> None:
    """Listen, leave a second process behind that serves, become the command."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    if os.fork() == 0:
        # The command's own pipes must end when it ends.
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nothing, fd)
        serve(listener, path)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
