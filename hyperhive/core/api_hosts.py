"""The hosts that an agent without a network may still reach: its model API, with what renews its login."""

import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from hyperhive.core.errors import Invalid

BASE_URL: Final = "ANTHROPIC_BASE_URL"
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class ApiHost(msgspec.Struct, frozen=True):
    """A host and port; `is_secure` where nothing but TLS to that very host may pass."""

    host: str
    port: int
    is_secure: bool

    @property
    def tls_name(self) -> str | None:
        """What a TLS client calls it: no name for a bare address (RFC 6066, 3)."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return self.host
        return None


API: Final = ApiHost("api.anthropic.com", 443, True)
# Measured with claude 2.1.330 in a network of nothing but a proxy: an expired login is renewed at platform.claude.com, where
# `auth login` also takes its code. It asked claude.ai and console.anthropic.com for nothing: the first is for the operator's
# browser.
LOGIN: Final = ApiHost("platform.claude.com", 443, True)


def api_hosts(env: Mapping[str, str]) -> tuple[ApiHost, ...]:
    """What may be reached, from the `[claude] env` of the settings. Raises `Invalid` for a base URL that is none."""
    base = env.get(BASE_URL)
    return ((API if not base else _from_url(base)), LOGIN)


def _from_url(url: str) -> ApiHost:
    hint = f'for example {BASE_URL} = "https://api.example.com"'
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Invalid(f"{BASE_URL} in hive.toml is not a URL", hint=hint) from None
    if not host or parts.scheme not in DEFAULT_PORTS:
        # Not shown: it may hold a password.
        raise Invalid(f"{BASE_URL} in hive.toml is not an http or https URL", hint=hint)
    return ApiHost(host.lower(), port or DEFAULT_PORTS[parts.scheme], parts.scheme == "https")
