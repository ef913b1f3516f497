"""Requests to the outside reach public addresses, and those that the setting names; no others."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network

import httpx
import pytest

from app.services.http_out import (
    ALLOWED_NETWORKS_SETTING,
    EXCERPT_BYTES,
    AddressRefusedError,
    GuardedTransport,
    HttpOut,
    SystemResolver,
    UnresolvableHostError,
    refusal,
)
from app.settings import Settings
from tests.support.ports import reserved_port

LOOPBACK = (ip_network("127.0.0.0/8"),)


def resolver(*addresses: str) -> Callable[[str, int], Awaitable[list[str]]]:
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


@asynccontextmanager
async def server(
    answer: bytes, *, then_hang: bool = False
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Serve one raw answer on loopback; yields the port and the requests that came."""
    requests: list[bytes] = []
    stop = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(httpx.Headers(_headers(head))["content-length"])
        requests.append(head + await reader.readexactly(length))
        writer.write(answer)
        if then_hang:
            await stop.wait()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1], requests
    finally:
        stop.set()
        listening.close()
        await listening.wait_closed()


def _headers(head: bytes) -> list[tuple[str, str]]:
    lines = head.decode().split("\r\n")[1:-2]
    return [(name, value) for name, _, value in (line.partition(": ") for line in lines)]


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("127.0.0.1", "loopback"),
        ("127.8.9.1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("10.1.2.3", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("169.254.169.254", "link-local"),
        ("168.63.129.16", "metadata"),
        ("100.64.0.1", "shared"),
        ("100.100.100.200", "shared"),
        ("192.0.0.192", "reserved"),
        ("198.18.0.1", "reserved"),
        ("203.0.113.5", "reserved"),
        ("224.0.1.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("::1", "loopback"),
        ("::", "unspecified"),
        ("fd00:ec2::254", "private"),
        ("fe80::1", "link-local"),
        ("fe80::1%2", "link-local"),
        ("fec0::1", "site-local"),
        ("ff0e::1", "multicast"),
        ("::127.0.0.1", "reserved"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:169.254.169.254", "link-local"),
        ("64:ff9b::10.0.0.1", "private"),
        ("64:ff9b:1::10.0.0.1", "reserved"),
        ("2002:7f00:1::", "loopback"),
        ("2001::1", "reserved"),
        ("2001:db8::1", "reserved"),
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str, word: str) -> None:
    assert word in (refusal(ip_address(address)) or "allowed")


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"],
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert refusal(ip_address(address)) is None


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.1.2.3", "10.1.0.0/16"),
        ("::ffff:10.1.2.3", "10.1.0.0/16"),
        ("::ffff:10.1.2.3", "::ffff:0:0/96"),
        ("64:ff9b::10.1.2.3", "10.1.0.0/16"),
        ("::1", "::1/128"),
        ("169.254.169.254", "169.254.169.254/32"),
    ],
)
def test_a_network_that_the_setting_names_is_allowed(address: str, network: str) -> None:
    assert refusal(ip_address(address), [ip_network(network)]) is None
    assert refusal(ip_address("192.168.0.1"), [ip_network(network)]) is not None


def test_the_refusal_names_a_setting_that_exists() -> None:
    error = AddressRefusedError("hooks.example", "10.0.0.1", "a private address")

    assert ALLOWED_NETWORKS_SETTING in str(error)
    assert ALLOWED_NETWORKS_SETTING.removeprefix("SERVICELANE_").lower() in Settings.model_fields


async def test_the_connection_goes_to_the_checked_address_under_its_name() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(204)

    out = HttpOut(resolve=resolver("8.8.8.8"), below=httpx.MockTransport(answer))
    result = await out.post("https://hooks.example:8443/in?a=1", headers={}, content=b"{}")
    await out.aclose()

    assert result.status == 204
    [request] = sent
    assert str(request.url) == "https://8.8.8.8:8443/in?a=1"
    assert request.headers["host"] == "hooks.example:8443"
    assert request.extensions["sni_hostname"] == "hooks.example"


async def test_the_next_address_is_tried_when_one_does_not_connect() -> None:
    hosts: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        if len(hosts) == 1:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(200)

    out = HttpOut(
        resolve=resolver("2606:4700::1111", "1.1.1.1"), below=httpx.MockTransport(answer)
    )
    result = await out.post("http://hooks.example/", headers={}, content=b"{}")
    await out.aclose()

    assert result.status == 200
    assert hosts == ["2606:4700::1111", "1.1.1.1"]


async def test_one_inner_address_among_public_ones_refuses_all() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing may be sent")

    out = HttpOut(resolve=resolver("8.8.8.8", "10.0.0.5"), below=httpx.MockTransport(answer))
    result = await out.post("http://hooks.example/", headers={}, content=b"{}")
    await out.aclose()

    assert result.status is None
    assert result.error is not None
    assert "10.0.0.5" in result.error
    assert ALLOWED_NETWORKS_SETTING in result.error


async def test_a_name_that_changes_its_address_after_the_check_gains_nothing() -> None:
    answers = iter([["8.8.8.8"], ["127.0.0.1"]])
    hosts: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        return next(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(200)

    out = HttpOut(resolve=resolve, below=httpx.MockTransport(answer))
    first = await out.post("http://hooks.example/", headers={}, content=b"{}")
    second = await out.post("http://hooks.example/", headers={}, content=b"{}")
    await out.aclose()

    assert (first.status, second.status) == (200, None)
    assert hosts == ["8.8.8.8"]


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:7f00:1]"]
)
async def test_every_spelling_of_loopback_is_refused(host: str) -> None:
    out = HttpOut(timeout_seconds=60)
    result = await out.post(f"http://{host}:9/", headers={}, content=b"{}")
    await out.aclose()

    assert result.status is None
    assert "loopback" in (result.error or "")


async def test_a_real_server_is_reached_when_its_network_is_allowed() -> None:
    async with server(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok") as (port, requests):
        out = HttpOut(allowed_networks=LOOPBACK, resolve=resolver("127.0.0.1"))
        result = await out.post(
            f"http://hooks.example:{port}/in", headers={"x-one": "1"}, content=b'{"a":1}'
        )
        await out.aclose()

    assert (result.status, result.excerpt, result.error) == (202, "ok", None)
    assert requests[0].startswith(b"POST /in HTTP/1.1\r\n")
    assert f"host: hooks.example:{port}".encode() in requests[0].lower()
    assert requests[0].endswith(b'\r\n\r\n{"a":1}')


async def test_redirects_are_not_followed_and_cookies_not_kept() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(
            307,
            headers={"location": "http://10.0.0.1/", "set-cookie": "a=1", "retry-after": "7"},
        )

    out = HttpOut(resolve=resolver("8.8.8.8"), below=httpx.MockTransport(answer))
    result = await out.post("http://hooks.example/", headers={}, content=b"{}")
    await out.post("http://hooks.example/", headers={}, content=b"{}")
    await out.aclose()

    assert (result.status, result.retry_after) == (307, "7")
    assert len(sent) == 2
    assert "cookie" not in sent[1].headers


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    out = HttpOut(
        resolve=resolver("8.8.8.8"), below=httpx.MockTransport(lambda _: httpx.Response(200))
    )
    result = await out.post("http://hooks.example/", headers={}, content=b"{}")
    await out.aclose()

    assert result.status == 200


async def test_the_answer_is_read_up_to_a_limit_only() -> None:
    endless = b"HTTP/1.1 500 Oops\r\ncontent-length: 100000000\r\n\r\n" + b"x\0" * 4000
    async with server(endless, then_hang=True) as (port, _):
        out = HttpOut(allowed_networks=LOOPBACK, timeout_seconds=60)
        result = await out.post(f"http://127.0.0.1:{port}/", headers={}, content=b"{}")
        await out.aclose()

    assert result.status == 500
    assert len(result.excerpt) == EXCERPT_BYTES
    assert "\0" not in result.excerpt
    assert result.duration_ms < 30_000


async def test_silence_ends_after_the_time_out() -> None:
    async with server(b"HTTP/1.1 2", then_hang=True) as (port, _):
        out = HttpOut(allowed_networks=LOOPBACK, timeout_seconds=0.2)
        result = await out.post(f"http://127.0.0.1:{port}/", headers={}, content=b"{}")
        await out.aclose()

    assert (result.status, result.error) == (None, "no answer within 0.2 s")
    assert result.duration_ms >= 200


async def test_a_status_counts_although_the_body_never_ends() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"ab"
        await asyncio.Event().wait()

    answer = httpx.MockTransport(lambda _: httpx.Response(200, content=body()))
    out = HttpOut(resolve=resolver("8.8.8.8"), below=answer, timeout_seconds=1)
    result = await out.post("http://hooks.example/", headers={}, content=b"{}")
    await out.aclose()

    assert (result.status, result.excerpt) == (200, "ab")


async def test_a_closed_port_and_nonsense_are_answers_too() -> None:
    with reserved_port() as port:
        async with server(b"220 mail.example ESMTP\r\n") as (mail, _):
            out = HttpOut(allowed_networks=LOOPBACK, timeout_seconds=60)
            closed = await out.post(f"http://127.0.0.1:{port}/", headers={}, content=b"{}")
            nonsense = await out.post(f"http://127.0.0.1:{mail}/", headers={}, content=b"{}")
            invalid = await out.post("http://a b/", headers={}, content=b"{}")
            scheme = await out.post("ftp://127.0.0.1/", headers={}, content=b"{}")
            await out.aclose()

    for result in (closed, nonsense, invalid, scheme):
        assert result.status is None
        assert result.error


async def test_check_sends_nothing_and_raises_what_is_wrong() -> None:
    async def unknown(host: str, port: int) -> list[str]:
        raise OSError("name or service not known")

    async def silent(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    inner = HttpOut(resolve=resolver("10.0.0.1"))
    with pytest.raises(AddressRefusedError, match=r"10\.0\.0\.1"):
        await inner.check("http://hooks.example/")
    for resolve in (unknown, silent, resolver()):
        out = HttpOut(resolve=resolve, timeout_seconds=0.05)
        with pytest.raises(UnresolvableHostError):
            await out.check("http://hooks.example/")
        await out.aclose()
    await inner.aclose()
    public = HttpOut(resolve=resolver("8.8.8.8"))
    await public.check("http://hooks.example/")
    await public.aclose()


async def test_the_system_resolver_gives_each_address_once() -> None:
    resolve = SystemResolver()
    assert await resolve("127.0.0.1", 80) == ["127.0.0.1"]
    resolve.close()


async def test_ip_literals_of_version_6_are_asked_for_without_brackets() -> None:
    asked: list[tuple[str, int]] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["2606:4700::1111"]

    guard = GuardedTransport(
        resolve=resolve, below=httpx.MockTransport(lambda _: httpx.Response(200))
    )
    async with httpx.AsyncClient(transport=guard) as client:
        await client.post("https://[2606:4700::1111]/")

    assert asked == [("2606:4700::1111", 443)]
