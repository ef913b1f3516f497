"""HTTP to the outside: requests to addresses that callers wrote down, kept off the inside.

Whoever may register a webhook could otherwise have the service call its own neighbors: databases
without a password, a cloud's metadata, routers. So a name is resolved here, every address that it
has is checked, and the connection goes to the very address that was checked: a name that resolves
to something else a moment later (DNS rebinding) gains nothing. `Host`, SNI and the check of the
certificate keep the name. Redirects are not followed, cookies not kept, proxies of the environment
not used (a proxy would resolve the name itself); an answer is read in bounded time and size.
"""

import asyncio
import functools
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import httpx
from typing_extensions import override

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port -> the addresses of the host, as text. Raises OSError when there is none."""

ALLOWED_NETWORKS_SETTING: Final = "SERVICELANE_WEBHOOK_ALLOWED_NETWORKS"

EXCERPT_BYTES: Final = 1024
"""How much of an answer's body is read and kept; the rest stays on the wire."""

_REFUSED: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("a loopback address", ("127.0.0.0/8", "::1/128")),
    ("an unspecified address", ("0.0.0.0/8", "::/128")),
    ("a private address", ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")),
    (
        "a link-local address (where clouds keep their metadata)",
        ("169.254.0.0/16", "fe80::/10"),
    ),
    ("a metadata address of a cloud", ("168.63.129.16/32",)),
    ("a shared address (carrier-grade NAT)", ("100.64.0.0/10",)),
    ("a site-local address", ("fec0::/10",)),
    ("a multicast address", ("224.0.0.0/4", "ff00::/8")),
    (
        "a reserved address",
        (
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "240.0.0.0/4",
            "::/8",
            "64:ff9b:1::/48",
            "100::/64",
            "2001::/23",
            "2001:db8::/32",
            "3fff::/20",
            "5f00::/16",
        ),
    ),
)
"""What is not the public internet: the IANA special-purpose registries, and Azure's wire server,
which has a public number. IPv4 inside IPv6 is unwrapped before it is looked up here."""

_NETWORKS: Final[tuple[tuple[str, IPNetwork], ...]] = tuple(
    (name, ip_network(network)) for name, networks in _REFUSED for network in networks
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class AddressRefusedError(httpx.ConnectError):
    """A host has an address that requests may not go to; nothing was sent.

    Attributes:
        host: The host as the URL has it.
        address: The address at fault.
    """

    def __init__(self, host: str, address: str, reason: str) -> None:
        super().__init__(
            f"{host} is at {address}, {reason}; requests go there only if "
            f"{ALLOWED_NETWORKS_SETTING} names its network"
        )
        self.host = host
        self.address = address


class UnresolvableHostError(httpx.ConnectError):
    """The host has no address, or the name service gave no answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request.

    Attributes:
        status: The status code; None when there was no answer.
        error: Why there was no answer; None when there was one.
        retry_after: The header of that name, as it came.
        excerpt: The beginning of the body as text.
        duration_ms: From the look-up of the name to the end of the excerpt.
    """

    status: int | None
    error: str | None
    retry_after: str | None
    excerpt: str
    duration_ms: int


def refusal(address: IPAddress, allowed: Sequence[IPNetwork] = ()) -> str | None:
    """Say in words why requests must not go to an address; None if they may.

    An IPv4 address that is wrapped in an IPv6 one (mapped, NAT64, 6to4) is judged as itself,
    and an allowed network may name it in either form.
    """
    inner = _unwrapped(address)
    if any(form in network for network in allowed for form in (inner, address)):
        return None
    for name, network in _NETWORKS:
        if inner in network:
            return name
    return None if inner.is_global else "not a public address"


class SystemResolver:
    """Asks the system's name service, on threads of its own.

    The event loop's pool is shared with the rest of the process: a name service that hangs
    would stall whoever else needs a thread.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=16, thread_name_prefix="resolve")

    async def __call__(self, host: str, port: int) -> list[str]:
        """Look the host up; each address once, in the system's order of preference."""
        look_up = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def close(self) -> None:
        """Let go of the threads; one that still waits for an answer is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends requests to checked addresses only.

    Raises `AddressRefusedError` and `UnresolvableHostError`, both of them `httpx.ConnectError`s,
    beside what the transport below raises.
    """

    def __init__(
        self,
        *,
        resolve: Resolve,
        allowed_networks: Sequence[IPNetwork] = (),
        below: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._resolve = resolve
        self._allowed = tuple(allowed_networks)
        # Connections are known by their address here: one that is kept alive could serve
        # another name than the one that its certificate was checked for.
        self._below = below or httpx.AsyncHTTPTransport(
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0)
        )

    async def addresses(self, url: httpx.URL) -> list[str]:
        """Resolve the host of `url` and check every address that it has; at least one.

        Raises:
            AddressRefusedError: One of them is not public and not allowed.
            UnresolvableHostError: There is none.
        """
        host = url.raw_host.decode("ascii")
        try:
            found = await self._resolve(host, url.port or _DEFAULT_PORTS.get(url.scheme, 0))
        except (OSError, UnicodeError) as error:
            raise UnresolvableHostError(f"cannot resolve {host}: {error}") from error
        if not found:
            raise UnresolvableHostError(f"{host} has no address")
        for address in found:
            reason = refusal(ip_address(address), self._allowed)
            if reason is not None:
                raise AddressRefusedError(host, address, reason)
        return list(found)

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.raw_host.decode("ascii")
        *others, last = await self.addresses(request.url)
        for address in others:
            try:
                return await self._below.handle_async_request(_pinned(request, host, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._below.handle_async_request(_pinned(request, host, last))

    @override
    async def aclose(self) -> None:
        await self._below.aclose()


class HttpOut:
    """Posts to the outside and tells what came of it; faults of the outside are answers too.

    Attributes:
        timeout_seconds: Bound of a whole request, the look-up of the name included.
    """

    def __init__(
        self,
        *,
        timeout_seconds: float = 15.0,
        allowed_networks: Sequence[IPNetwork] = (),
        resolve: Resolve | None = None,
        below: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Make the client.

        Args:
            timeout_seconds: Bound of a whole request, the look-up of the name included.
            allowed_networks: Networks that may be reached although they are not public.
            resolve: Name service; the system's by default.
            below: What carries the requests to the checked addresses; for tests.
        """
        self.timeout_seconds = timeout_seconds
        self._resolver = SystemResolver()
        self._transport = GuardedTransport(
            resolve=resolve or self._resolver,
            allowed_networks=allowed_networks,
            below=below,
        )
        self._client = httpx.AsyncClient(
            transport=self._transport,
            timeout=httpx.Timeout(timeout_seconds),
            follow_redirects=False,
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers={"accept": "*/*", "accept-encoding": "identity"},
        )

    async def check(self, url: str) -> None:
        """See whether requests to `url` may go out now; sends nothing.

        Raises:
            AddressRefusedError: The host is at an address that is not allowed.
            UnresolvableHostError: The host is unknown at the moment.
        """
        try:
            async with asyncio.timeout(self.timeout_seconds):
                await self._transport.addresses(httpx.URL(url))
        except TimeoutError as error:
            raise UnresolvableHostError("the name service gave no answer") from error

    async def post(self, url: str, *, headers: Mapping[str, str], content: bytes) -> Answer:
        """Post once. Redirects count as the answer that they are."""
        started = time.monotonic()
        response: httpx.Response | None = None
        excerpt = bytearray()
        error: str | None = None
        try:
            async with (
                asyncio.timeout(self.timeout_seconds),
                self._client.stream("POST", url, headers=headers, content=content) as response,
            ):
                await _read(response, excerpt)
        except (TimeoutError, httpx.TimeoutException):
            error = f"no answer within {self.timeout_seconds:g} s"
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            error = str(fault) or type(fault).__name__
        duration_ms = round((time.monotonic() - started) * 1000)
        if response is None:
            return Answer(None, error, None, "", duration_ms)
        # The status was said; what happens to the body afterwards takes nothing back.
        return Answer(
            status=response.status_code,
            error=None,
            retry_after=response.headers.get("retry-after"),
            excerpt=_text(bytes(excerpt[:EXCERPT_BYTES])),
            duration_ms=duration_ms,
        )

    async def aclose(self) -> None:
        """Close what is open."""
        await self._client.aclose()
        self._resolver.close()


async def _read(response: httpx.Response, excerpt: bytearray) -> None:
    """Read the beginning of a body as it is on the wire: nothing is unpacked."""
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("a transport of an async client answers with an async stream")
    async for chunk in response.stream:
        excerpt += chunk
        if len(excerpt) >= EXCERPT_BYTES:
            break


def _pinned(request: httpx.Request, host: str, address: str) -> httpx.Request:
    """Direct a request at an address; `Host` is a header already, SNI keeps the name."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": host},
    )


def _unwrapped(address: IPAddress) -> IPAddress:
    """Take an IPv4 address out of the IPv6 one that stands for it."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _text(body: bytes) -> str:
    """Read bytes as text that PostgreSQL can keep (it has no NUL)."""
    return body.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
