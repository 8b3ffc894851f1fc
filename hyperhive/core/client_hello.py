"""The first words of a TLS client, which name the host that it wants before anything is secret."""

from typing import Final

import msgspec

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_HOST_NAME: Final = 0
# Encrypted Client Hello (RFC 9849): the name that can be read is then not the one that is meant.
_ENCRYPTED: Final = 0xFE0D
_RECORD_MOST: Final = 16384


class ClientHello(msgspec.Struct, frozen=True):
    """`name` is the host that is asked for, None where none is; `is_veiled` when the true one may be hidden in it."""

    name: str | None
    is_veiled: bool


def read_hello(data: bytes) -> ClientHello | None:
    """Read the beginning of a TLS connection; None when more is needed. Raises `ValueError` for anything else.

    The message must be whole in its first record, as that of every common client is: claude 2.1.330 sends 1.5 kB in one.
    """
    if data[:1] not in (b"", bytes([_HANDSHAKE])):
        raise ValueError("not TLS")
    if len(data) < 5:
        return None
    length = int.from_bytes(data[3:5], "big")
    if not 4 < length <= _RECORD_MOST:
        raise ValueError("not a TLS record")
    if len(data) < 5 + length:
        return None
    kind, message = data[5], _Reader(data[6 : 5 + length]).take(3)
    if kind != _CLIENT_HELLO:
        raise ValueError("not a client's first message")
    # RFC 8446, 4.1.2: version and chance, session, ciphers, compression, extensions.
    reader = _Reader(message.skip(34))
    for width in (1, 2, 1):
        reader.take(width)
    return _from_extensions(reader.take(2))


def _from_extensions(reader: "_Reader") -> ClientHello:
    name: str | None = None
    seen: set[int] = set()
    while reader.rest:
        number = reader.number(2)
        content = reader.take(2)
        if number in seen:
            raise ValueError("an extension comes twice")
        seen.add(number)
        if number == _SERVER_NAME:
            name = _only_name(content.take(2))
    return ClientHello(name, is_veiled=_ENCRYPTED in seen)


def _only_name(names: "_Reader") -> str:
    """RFC 6066, 3: a list that holds one name of each kind, of which there is one."""
    kind, name = names.number(1), names.take(2).rest
    if kind != _HOST_NAME or names.rest:
        raise ValueError("more than one name")
    return name.decode("ascii").lower()


class _Reader:
    """Takes numbers and parts with their length before them off the front of some bytes."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def skip(self, count: int) -> bytes:
        """What follows after so many bytes."""
        self._cut(count)
        return self.rest

    def number(self, width: int) -> int:
        """A number of so many bytes."""
        return int.from_bytes(self._cut(width), "big")

    def take(self, width: int) -> "_Reader":
        """A part whose length is the number of so many bytes before it."""
        return _Reader(self._cut(self.number(width)))

    def _cut(self, count: int) -> bytes:
        if len(self.rest) < count:
            raise ValueError("it ends too early")
        part, self.rest = self.rest[:count], self.rest[count:]
        return part
