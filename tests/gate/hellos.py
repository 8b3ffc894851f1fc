"""What TLS clients say first: that of a real one, and some made by hand."""

import contextlib
import ssl


def real(name: str | None) -> bytes:
    """What OpenSSL says when it wants that host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    said = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), said, server_hostname=name).do_handshake()
    return said.read()


def by_hand(*extensions: tuple[int, bytes], kind: int = 1) -> bytes:
    """A first message with these extensions and no others."""
    listed = b"".join(number.to_bytes(2, "big") + with_length(content) for number, content in extensions)
    body = b"\x03\x03" + bytes(32) + b"\x00" + with_length(b"\x13\x01") + b"\x01\x00" + with_length(listed)
    message = bytes([kind]) + with_length(body, 3)
    return b"\x16\x03\x01" + with_length(message)


def names(*hosts: str) -> tuple[int, bytes]:
    """The extension that names the host."""
    return 0, with_length(b"".join(b"\x00" + with_length(host.encode()) for host in hosts))


ENCRYPTED = (0xFE0D, bytes(20))


def with_length(content: bytes, width: int = 2) -> bytes:
    return len(content).to_bytes(width, "big") + content
