"""Who may do what: scopes, principals, the form of a key, and the masking of personal fields."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

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

    EVENTS_WRITE = "events:write"
    EVENTS_READ = "events:read"
    QUARANTINE_READ = "quarantine:read"
    QUARANTINE_WRITE = "quarantine:write"
    STORES_READ = "stores:read"
    STORES_WRITE = "stores:write"
    STAFF_READ = "staff:read"
    CUSTOMERS_READ = "customers:read"
    REPAIR_ORDERS_READ = "repair_orders:read"
    FOLLOW_UPS_READ = "follow_ups:read"
    FOLLOW_UPS_WRITE = "follow_ups:write"
    COMPLAINTS_READ = "complaints:read"
    COMPLAINTS_WRITE = "complaints:write"
    KPIS_READ = "kpis:read"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    JOBS_RUN = "jobs:run"
    PERSONAL_READ = "personal:read"
    SANDBOX_WRITE = "sandbox:write"


ALL_SCOPES: Final = frozenset(Scope)


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
        missing = sorted(scope for scope in scopes if scope not in self.scopes)
        if missing:
            raise ForbiddenError(f"The key lacks the scope {', '.join(missing)}.")
        if store_id is not None and not self.may(store_id):
            raise ForbiddenError(f"The key is not bound to store {store_id}.")


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
