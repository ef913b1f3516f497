"""Who may do what: scopes, principals, the form of a key, and the masking of personal fields."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from app.domain.errors import ForbiddenError

MASK: Final = "***"
"""What a reader without `personal:read` sees in place of a personal text."""

SECRET_BYTES: Final = 32
"""Random bytes in a key: with 256 bits a plain SHA-256 is safe to store and fast to look up."""

_PREFIX: Final = "sl_"
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TOKEN_DIGITS: Final = 43  # 62 ** 43 is the first power above 2 ** 256
_TOKEN: Final = re.compile(r"sl_[0-9A-Za-z]{43}")


class Scope(StrEnum):
    """A right that a key can carry; `<what>:read` reads, `<what>:write` changes."""

    EVENTS_READ = "events:read"
    EVENTS_WRITE = "events:write"
    QUARANTINE_READ = "quarantine:read"
    QUARANTINE_WRITE = "quarantine:write"
    STORES_READ = "stores:read"
    STORES_WRITE = "stores:write"
    STAFF_READ = "staff:read"
    STAFF_WRITE = "staff:write"
    CUSTOMERS_READ = "customers:read"
    CUSTOMERS_WRITE = "customers:write"
    REPAIR_ORDERS_READ = "repair_orders:read"
    REPAIR_ORDERS_WRITE = "repair_orders:write"
    FOLLOW_UPS_READ = "follow_ups:read"
    FOLLOW_UPS_WRITE = "follow_ups:write"
    COMPLAINTS_READ = "complaints:read"
    COMPLAINTS_WRITE = "complaints:write"
    KPIS_READ = "kpis:read"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    JOBS_RUN = "jobs:run"
    METRICS_READ = "metrics:read"
    PERSONAL_READ = "personal:read"
    SANDBOX_WRITE = "sandbox:write"


ALL_SCOPES: Final = frozenset(Scope)
"""Of this version. A key has those that were there when it was issued, and gets no more by itself:
what a version adds is another right than those that somebody once gave away."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, and what that caller may do.

    Attributes:
        id: Unique and lasting, so that what is kept per caller (answers to repeat) stays apart.
        name: For people and logs; need not be unique.
        scopes: What the caller may do.
        stores: The only stores where it may do so; None is all, those to come included.
    """

    id: str
    name: str
    scopes: frozenset[Scope]
    stores: frozenset[str] | None = None

    def has(self, scope: Scope) -> bool:
        """Tell whether the caller has this right (somewhere)."""
        return scope in self.scopes

    def may(self, store_id: str) -> bool:
        """Tell whether the caller's rights hold in this store."""
        return self.stores is None or store_id in self.stores

    def require(self, scopes: Iterable[Scope], store_id: str | None = None) -> None:
        """Refuse a caller that lacks one of the scopes, or the store.

        Raises:
            ForbiddenError: naming what is missing.
        """
        missing = frozenset(scopes) - self.scopes
        if missing:
            raise ForbiddenError(f"The key lacks the scope {', '.join(sorted(missing))}.")
        if store_id is not None and not self.may(store_id):
            raise ForbiddenError(f"The key is not bound to store {store_id}.")


SETUP: Final = Principal("setup", "setup token", ALL_SCOPES)
"""Whoever holds the setup token of the settings."""

NOBODY: Final = Principal("nobody", "nobody", frozenset())
"""Whoever may do nothing, and so sees nothing personal."""

LOCAL: Final = Principal("local", "local", ALL_SCOPES)
"""Whoever is on this machine while no key was ever issued."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key as it is stored: everything but the key itself.

    Attributes:
        key_id: Names the key to its operator; no secret.
        scopes: Each by name; "all" is not kept as such.
        stores: The only stores where the key counts; None is all.
        last_used_at: To the minute, None while it was never used.
        revoked_at: None while the key counts.
    """

    key_id: str
    name: str
    scopes: frozenset[Scope]
    stores: frozenset[str] | None
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def missing(self) -> frozenset[Scope]:
        """The scopes of this version that the key does not have."""
        return ALL_SCOPES - self.scopes

    @property
    def principal(self) -> Principal:
        """Who comes with this key."""
        return Principal(self.key_id, self.name, self.scopes, self.stores)


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a request without a key comes from, as far as the request shows it.

    Attributes:
        address: Of the other end of the connection; None where that is not known.
        host: The `Host` header.
        origin: The `Origin` header that a browser sends for a page.
        forwarded: Whether a proxy says that it stands between.
    """

    address: str | None
    host: str | None
    origin: str | None = None
    forwarded: bool = False

    @property
    def is_local(self) -> bool:
        """Whether the request was made on this machine, for this machine, by its own user.

        The address alone does not tell: a page from anywhere may make a browser here send
        requests to loopback, under a name of its own that resolves to it (DNS rebinding: the
        `Host` is foreign) or across origins (the `Origin` is), and a proxy here speaks for others.
        """
        return (
            self.address is not None
            and is_loopback(self.address)
            and not self.forwarded
            and _names_this_machine(f"//{self.host or ''}")
            and (self.origin is None or _names_this_machine(self.origin))
        )


def is_loopback(address: str) -> bool:
    """Tell whether an address (no name) can only be reached from this machine."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback


def _names_this_machine(url: str) -> bool:
    try:
        name = urlsplit(url).hostname
    except ValueError:
        return False
    return name is not None and (name == "localhost" or is_loopback(name))


def token_of(secret: bytes) -> str:
    """Write 32 random bytes as a key, `sl_` and 43 digits to the base of 62."""
    if len(secret) != SECRET_BYTES:
        raise ValueError("a key is made of 32 random bytes")
    number = int.from_bytes(secret)
    digits: list[str] = []
    for _ in range(_TOKEN_DIGITS):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return _PREFIX + "".join(reversed(digits))


def is_token(text: str) -> bool:
    """Tell whether a text has the form of a key, so that others need not be looked up."""
    return _TOKEN.fullmatch(text) is not None


def hash_of(token: str) -> bytes:
    """The only form in which a key is stored: SHA-256 of its text."""
    return hashlib.sha256(token.encode()).digest()


def masked(value: Any) -> Any:
    """Hide a personal value: text and numbers become `***`, lists and objects keep their shape.

    None stays None: that nothing is known tells nothing about a person.
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {name: masked(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [masked(part) for part in value]
    return MASK


def personal_for(principal: Principal, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Personal fields as this reader may see them: plain with `personal:read`, else masked."""
    if principal.has(Scope.PERSONAL_READ):
        return dict(fields)
    return {name: masked(value) for name, value in fields.items()}
