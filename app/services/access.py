"""Keys: issued once, believed for a moment, revoked for good.

The ingest path is hot: a key that was just looked up is believed for a few seconds, so that a
request costs no query. A revoked key may still work for as long, here and in other processes.
"""

import hmac
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from uuid6 import uuid7

from app.db.access import AccessKeyRepository
from app.domain.access import (
    LOCAL,
    SECRET_BYTES,
    SETUP,
    AccessKey,
    Peer,
    Principal,
    Scope,
    hash_of,
    is_token,
    token_of,
)
from app.domain.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
)
from app.services.time_source import TimeSource

_MOST_KEPT: Final = 4_096
"""Looked-up keys kept at most; wrong ones take a place too."""

_NO_KEY: Final = "Send a key: 'Authorization: Bearer sl_...' (servicelane keys issue)."
_NO_KEY_YET: Final = (
    "No key was issued yet, so only requests made on this machine, to localhost, are answered. "
    "Issue one with 'servicelane keys issue', or set SERVICELANE_SETUP_TOKEN."
)
_WRONG_KEY: Final = "This key is not known or was revoked."


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key, and its text, which is shown this once."""

    key: AccessKey
    token: str


class AccessService:
    """Issues, lists, widens and revokes keys, and tells who a request comes from."""

    def __init__(
        self,
        repository: AccessKeyRepository,
        time_source: TimeSource,
        *,
        setup_token: str | None,
        cache_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repository = repository
        self._time_source = time_source
        self._setup_hash = None if setup_token is None else hash_of(setup_token)
        self._cache_seconds = cache_seconds
        self._monotonic = monotonic
        self._kept: dict[bytes, tuple[float, Principal | None]] = {}
        self._closed = setup_token is not None
        self._open_until = float("-inf")

    async def issue(
        self, *, name: str, scopes: Collection[Scope], stores: Collection[str] | None
    ) -> IssuedKey:
        """Make a key; its text is in the answer and nowhere else.

        Raises:
            InvalidInputError: no scope, or an empty list of stores: the key would open nothing.
        """
        if not scopes:
            raise InvalidInputError.at("/scopes", "empty", "A key needs at least one scope.")
        if stores is not None and not stores:
            raise InvalidInputError.at("/stores", "empty", "Name a store, or none for all.")
        token = token_of(secrets.token_bytes(SECRET_BYTES))
        key = AccessKey(
            key_id=str(uuid7()),
            name=name,
            scopes=frozenset(scopes),
            stores=None if stores is None else frozenset(stores),
            created_at=await self._time_source.now(),
        )
        await self._repository.add(key, hash_of(token))
        self._closed = True
        return IssuedKey(key, token)

    async def list_all(self) -> list[AccessKey]:
        """List every key, revoked ones included, oldest first."""
        return await self._repository.list_all()

    async def widen(self, *, key_id: str, scopes: Collection[Scope]) -> AccessKey:
        """Give a key more rights; those that it has stay. A repeat is harmless.

        It has them once the cache's seconds are over, in every process.

        Raises:
            InvalidInputError: No scope is named.
            NotFoundError: There is no such key.
            ConflictError: It was revoked, which is for good.
        """
        if not scopes:
            raise InvalidInputError.at("/scopes", "empty", "Name a scope to add.")
        key = await self._repository.widen(key_id, scopes)
        if key is None:
            if await self._repository.find(key_id) is None:
                raise NotFoundError(f"There is no key {key_id}.")
            raise ConflictError(f"Key {key_id} was revoked. Issue another one.", state="revoked")
        self._kept.clear()
        return key

    async def revoke(self, *, key_id: str) -> AccessKey:
        """Revoke a key; a repeat is harmless.

        It works no more once the cache's seconds are over, in every process.

        Raises:
            NotFoundError: There is no such key.
        """
        key = await self._repository.revoke(key_id, await self._time_source.now())
        if key is None:
            raise NotFoundError(f"There is no key {key_id}.")
        self._kept.clear()
        return key

    async def is_open(self) -> bool:
        """Tell whether requests on this machine need no key: no setup token, no key ever issued.

        A revoked key counts: revoking the last one locks the door, it does not open it.
        """
        if self._closed:
            return False
        now = self._monotonic()
        if now >= self._open_until:
            self._closed = await self._repository.any_exists()
            self._open_until = now + self._cache_seconds
        return not self._closed

    async def authenticate(self, token: str | None, peer: Peer) -> Principal:
        """Tell who a request comes from, by its bearer token or, without one, by its peer.

        Raises:
            UnauthenticatedError: saying what to do.
        """
        if token is None:
            if not await self.is_open():
                raise UnauthenticatedError(_NO_KEY)
            if not peer.is_local:
                raise UnauthenticatedError(_NO_KEY_YET)
            return LOCAL
        token_hash = hash_of(token)
        kept = self._kept.get(token_hash)
        if kept is not None and self._monotonic() < kept[0]:
            principal = kept[1]
        else:
            principal = await self._look_up(token, token_hash)
        if principal is None:
            raise UnauthenticatedError(_WRONG_KEY)
        return principal

    async def _look_up(self, token: str, token_hash: bytes) -> Principal | None:
        if self._setup_hash is not None and hmac.compare_digest(token_hash, self._setup_hash):
            return SETUP
        if not is_token(token):
            return None
        believed_until = self._monotonic() + self._cache_seconds
        key = await self._repository.find_by_hash(token_hash)
        principal = None
        if key is not None and key.revoked_at is None:
            principal = key.principal
            await self._repository.note_use(key.key_id, await self._time_source.now())
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[token_hash] = (believed_until, principal)
        return principal
