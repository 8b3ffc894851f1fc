"""What every container shows of the machine: its programs, with the part of /etc that they need."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# What programs need of /etc to find names, certificates, libraries and the time. Nothing that holds a secret.
_ETC: Final = (
    "resolv.conf", "hosts", "host.conf", "gai.conf", "nsswitch.conf", "protocols", "services", "os-release", "localtime",
    "ssl/certs", "ssl/openssl.cnf", "ca-certificates", "pki/ca-trust", "pki/tls/certs", "pki/tls/openssl.cnf", "crypto-policies",
    "alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "mime.types", "fonts", "terminfo",
)  # fmt: skip


def shown(root: Path) -> Iterator[tuple[str, str | None]]:
    """Each path that is shown, read-only, with where it points to if it is a link in the container."""
    yield "/usr", None
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = root / name
        if path.is_symlink():
            yield f"/{name}", os.readlink(path)
        elif path.is_dir():
            yield f"/{name}", None
    for name in _ETC:
        path = root / "etc" / name
        if path.is_symlink() and os.path.realpath(path).startswith(f"{root / 'usr'}/"):
            # A link stays a link: programs read the time zone's name from it.
            yield f"/etc/{name}", f"/{os.path.relpath(os.path.realpath(path), root)}"
        elif path.exists():
            # Whoever binds it follows links itself: a resolv.conf that points into /run is bound as what it is now.
            yield f"/etc/{name}", None
