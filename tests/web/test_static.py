"""What others wrote is in the package as they published it, with its licence."""

import hashlib
from pathlib import Path

import pytest

import hyperhive.web

STATIC = Path(hyperhive.web.__file__).parent / "static"
# htmx 4.0.1, from npm: `npm pack htmx.org@4.0.1`.
PUBLISHED = {
    "htmx.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    "hx-ws.min.js": "a7c11e4eca05417d6299bb40aaacca01572e44605389fc4d5ef12be408a4d03b",
    "htmx.LICENSE": "d3d2456f76414f2456104660ebd65aff1c04cd7966b942bdabd63f3cdb316a38",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_file_of_htmx_is_as_it_was_published(name: str) -> None:
    assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == PUBLISHED[name]


def test_no_other_script_is_anybody_elses() -> None:
    scripts = {path.name for path in STATIC.parent.rglob("*.js")}
    assert scripts == {"hyperhive.js", "htmx.min.js", "hx-ws.min.js"}
