"""What a client asks of an HTTP proxy, read from the head of its request."""

import re
from typing import Final

import msgspec

_LINE: Final = re.compile(rb"([A-Z]{1,20}) ([\x21-\x7e]+) (HTTP/1\.[01])")
_AUTHORITY: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?")
_ABSOLUTE: Final = re.compile(r"http://([^/?#]+)(/[^#]*|\?[^#]*)?", re.IGNORECASE)
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[^\r\n\0]*")
# They are between the client and the proxy (RFC 9110, 7.6.1), or are written anew.
_OURS: Final = frozenset({b"connection", b"host", b"keep-alive", b"proxy-authorization", b"proxy-connection", b"upgrade"})


class ProxyRequest(msgspec.Struct, frozen=True):
    """Where to, and what that host is told first: nothing where the client asks for a tunnel."""

    host: str
    port: int
    is_tunnel: bool
    head: bytes = b""

    @property
    def target(self) -> str:
        """Host and port as people write them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_request(head: bytes) -> ProxyRequest:
    """Read a head without the empty line that ends it. Raises `ValueError` for what is none that a proxy can serve.

    A plain request becomes one in origin form for one host (RFC 9112, 3.2), and the last on its connection: so the next one
    comes here again, where its host is looked at.
    """
    first, *fields = head.split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise ValueError("not a request line")
    method, target, version = line[1], line[2].decode("ascii"), line[3]
    names = [_field_name(field) for field in fields]
    if method == b"CONNECT":
        host, port = _authority(target, None)
        return ProxyRequest(host, port, is_tunnel=True)
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise ValueError("not an http URL")
    authority, path = absolute[1], absolute[2] or "/"
    host, port = _authority(authority, 80)
    rest = [field for field, name in zip(fields, names, strict=True) if name not in _OURS]
    origin = path if path.startswith("/") else f"/{path}"
    lines = [
        b" ".join((method, origin.encode("ascii"), version)), b"Host: " + authority.encode("ascii"), *rest, b"Connection: close",
    ]  # fmt: skip
    return ProxyRequest(host, port, is_tunnel=False, head=b"\r\n".join(lines) + b"\r\n\r\n")


def _field_name(field: bytes) -> bytes:
    found = _FIELD.fullmatch(field)
    if found is None:
        raise ValueError("not a header field")
    return found[1].lower()


def _authority(text: str, default: int | None) -> tuple[str, int]:
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        raise ValueError("not a host and port")
    port = int(found[3]) if found[3] else default
    if port is None or not 0 < port < 65536:
        raise ValueError("not a port")
    return (found[1] or found[2]).lower(), port
