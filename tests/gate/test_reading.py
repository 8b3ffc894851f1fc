"""What the gate reads before it lets anything through: settings, requests, the first words of TLS."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.core.api_hosts import API, LOGIN, ApiHost, api_hosts
from hyperhive.core.client_hello import ClientHello, read_hello
from hyperhive.core.errors import Invalid
from hyperhive.core.proxy_request import read_request
from tests.gate import hellos


def test_the_hosts_are_the_api_and_the_one_that_renews_a_login() -> None:
    assert api_hosts({}) == (ApiHost("api.anthropic.com", 443, True), ApiHost("platform.claude.com", 443, True))
    assert api_hosts({"ANTHROPIC_BASE_URL": ""}) == (API, LOGIN)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://127.0.0.1:8080", ApiHost("127.0.0.1", 8080, False)),
        ("http://Models.local/v2/", ApiHost("models.local", 80, False)),
        ("https://user:secret@api.example.com/x", ApiHost("api.example.com", 443, True)),
        ("https://[::1]:4433", ApiHost("::1", 4433, True)),
    ],
)
def test_a_base_url_takes_the_place_of_the_api(url: str, host: ApiHost) -> None:
    assert api_hosts({"ANTHROPIC_BASE_URL": url}) == (host, LOGIN)


@pytest.mark.parametrize(
    "url", ["ftp://models.local", "models.local", "http://", "http://x:secret", "http://x:99999", "http://[::1"]
)
def test_a_base_url_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(Invalid, match="ANTHROPIC_BASE_URL in hive") as refused:
        api_hosts({"ANTHROPIC_BASE_URL": url})
    assert refused.value.hint
    assert url not in refused.value.message


@pytest.mark.parametrize(
    ("line", "target"),
    [
        (b"CONNECT api.anthropic.com:443 HTTP/1.1", "api.anthropic.com:443"),
        (b"CONNECT API.Anthropic.COM:443 HTTP/1.1", "api.anthropic.com:443"),
        (b"CONNECT [::1]:443 HTTP/1.0", "[::1]:443"),
    ],
)
def test_a_tunnel_is_read(line: bytes, target: str) -> None:
    request = read_request(line + b"\r\nHost: somewhere-else:1\r\nProxy-Connection: Keep-Alive")
    assert (request.target, request.is_tunnel, request.head) == (target, True, b"")


def test_a_plain_request_becomes_one_for_its_host_and_the_last_of_its_connection() -> None:
    request = read_request(
        b"POST http://API.local:81/v1/messages?beta=true HTTP/1.1\r\nHost: inner.local\r\nConnection: keep-alive, X\r\nX: 1\r\n"
        b"Proxy-Connection: Keep-Alive\r\nProxy-Authorization: Basic x\r\nAuthorization: Bearer y\r\nUpgrade: h2c"
    )
    assert (request.target, request.is_tunnel) == ("api.local:81", False)
    assert request.head == (
        b"POST /v1/messages?beta=true HTTP/1.1\r\nHost: API.local:81\r\n"
        b"X: 1\r\nAuthorization: Bearer y\r\nConnection: close\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("url", "path"), [(b"http://a", b"/"), (b"http://a/", b"/"), (b"http://a?b", b"/?b"), (b"http://a/b?c=/d", b"/b?c=/d")]
)
def test_the_path_is_kept(url: bytes, path: bytes) -> None:
    assert read_request(b"GET " + url + b" HTTP/1.1").head.startswith(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n")


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET / HTTP/1.1",
        b"GET https://api.anthropic.com/ HTTP/1.1",
        b"GET http://a@b/ HTTP/1.1",
        b"GET http://a b/ HTTP/1.1",
        b"GET http://a:0/ HTTP/1.1",
        b"GET http://a:65536/ HTTP/1.1",
        b"GET http:///x HTTP/1.1",
        b"GET http://a/#b HTTP/1.1",
        b"GET http://a/ HTTP/2.0",
        b"CONNECT a HTTP/1.1",
        b"CONNECT a:443@b:80 HTTP/1.1",
        b"CONNECT a:443/ HTTP/1.1",
        b"CONNECT [::1%lo]:443 HTTP/1.1",
        b"CONNECT :443 HTTP/1.1",
        b"GET http://a/ HTTP/1.1\r\n folded: line",
        b"GET http://a/ HTTP/1.1\r\nno field",
        b"GET http://a/ HTTP/1.1\r\nHost : b",
        b"GET http://a/ HTTP/1.1\r\nX: 1\nHost: b",
        b"GET http://a/ HTTP/1.1\r\nX: \x00",
    ],
)
def test_what_is_no_request_to_a_proxy_is_refused(head: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not a"):
        read_request(head)


@pytest.mark.parametrize("name", ["api.anthropic.com", None])
def test_a_real_client_says_which_host_it_wants(name: str | None) -> None:
    hello = hellos.real(name)
    assert read_hello(hello) == ClientHello(name, is_veiled=False)
    assert read_hello(hello + b"more") == ClientHello(name, is_veiled=False)
    # Nothing is known until all of it is there.
    assert {read_hello(hello[:end]) for end in range(len(hello))} == {None}


def test_a_host_that_may_hide_another_is_told() -> None:
    assert read_hello(hellos.by_hand(hellos.names("a.b"), hellos.ENCRYPTED)) == ClientHello("a.b", is_veiled=True)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x01\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\x00\x00",
        hellos.by_hand(hellos.names("a.b"), kind=2),
        hellos.by_hand(hellos.names("a.b"), hellos.names("c.d")),
        hellos.by_hand(hellos.names("a.b", "c.d")),
        hellos.by_hand((0, b"")),
        hellos.by_hand(hellos.names("ä.b")),
        # The same message in two records: what the second holds could not be read yet.
        b"\x16\x03\x01" + hellos.with_length(hellos.by_hand(hellos.names("a.b"))[5:30]),
    ],
)
def test_what_is_no_first_word_of_tls_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        read_hello(data)
    assert len(str(refused.value)) < 200


@given(st.binary(max_size=300), st.integers(0, 300))
def test_no_bytes_break_the_readers(data: bytes, at: int) -> None:
    hello = bytearray(hellos.by_hand(hellos.names("a.b"), hellos.ENCRYPTED))
    hello[at : at + 4] = data[:4]
    for read, given_bytes in ((read_hello, bytes(hello)), (read_hello, b"\x16\x03\x01\x00\x20" + data), (read_request, data)):
        try:
            read(given_bytes)
        except ValueError:
            continue
