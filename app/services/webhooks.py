"""Webhooks for their owners: endpoints, secrets, what was sent and what came of it.

All of it runs on the machine's clock, also where the service's time is a sandbox's: a receiver
compares the signed time with its own clock, and a retry waits for a real machine to come back.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec
import orjson
from msgspec import UNSET, UnsetType
from uuid6 import uuid7

from app.db.webhooks import WebhookRepository
from app.domain.access import Principal
from app.domain.errors import ConflictError, Fault, InvalidInputError, NotFoundError
from app.domain.events.catalog import CATALOG
from app.domain.events.envelope import OWN_SOURCE
from app.domain.pages import Page, PageRequest, page_of
from app.domain.webhooks import (
    NEW_SECRET_BYTES,
    SECRET_OVERLAP,
    TEST_EVENT_TYPE,
    Attempt,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointState,
    Notice,
    Signing,
    body_of,
    headers_of,
    secret_fault,
    secret_of,
    url_fault,
)
from app.services.http_out import AddressRefusedError, Answer, HttpOut, UnresolvableHostError
from app.services.stores import StoreDirectory

DISABLED_BY_HAND: Final = "manual"

Given = TypeVar("Given")
MachineClock = Callable[[], datetime]


def machine_now() -> datetime:
    """The machine's time: aware, UTC."""
    return datetime.now(UTC)


class EndpointChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to change of an endpoint; what is not given stays as it is."""

    url: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    event_types: Sequence[str] | UnsetType | None = UNSET
    stores: Sequence[str] | UnsetType | None = UNSET
    include_late: bool | UnsetType = UNSET
    state: EndpointState | UnsetType = UNSET

    def apply(self, endpoint: Endpoint, now: datetime) -> Endpoint:
        """The endpoint as it is afterwards."""
        given = {
            name: value
            for name in self.__struct_fields__
            if (value := getattr(self, name)) is not UNSET
        }
        for name in {"event_types", "stores"} & given.keys():
            given[name] = _each_once(given[name])
        if given.get("state", endpoint.state) is not endpoint.state:
            enabled = self.state is EndpointState.ENABLED
            given["disabled_reason"] = None if enabled else DISABLED_BY_HAND
        return replace(endpoint, **given, updated_at=now)


class WebhookService:
    """What callers do with endpoints and deliveries.

    A caller that is bound to stores sees, and makes, only endpoints that hear of these stores and
    of no others.
    """

    def __init__(
        self,
        repository: WebhookRepository,
        *,
        stores: StoreDirectory,
        out: HttpOut,
        now: MachineClock = machine_now,
    ) -> None:
        self._repository = repository
        self._stores = stores
        self._out = out
        self._now = now

    async def create(
        self,
        *,
        principal: Principal,
        url: str,
        description: str | None = None,
        event_types: Sequence[str] | None = None,
        stores: Sequence[str] | None = None,
        include_late: bool = False,
        secret: str | None = None,
        from_beginning: bool = False,
    ) -> tuple[Endpoint, str]:
        """Make an endpoint.

        Args:
            principal: The caller; one bound to stores that names none gets all of its own.
            url: Where to post to.
            description: For people.
            event_types: What it hears of; None is the service's own alerts.
            stores: Whose events; None is every store, those to come included.
            include_late: Also what was recorded more than a day after it happened.
            secret: One that the receiver knows already; None makes one.
            from_beginning: Start with the first event of each log instead of the next one.

        Returns:
            The endpoint and its secret.

        Raises:
            InvalidInputError: Every fault of the input, an address that is not allowed included.
            ForbiddenError: A store that the caller is not bound to.
        """
        faults = await self._faults(
            principal, url=url, event_types=event_types, stores=stores, secret=secret
        )
        if faults:
            raise InvalidInputError(faults)
        now = self._now()
        endpoint = Endpoint(
            endpoint_id=str(uuid7()),
            url=url,
            description=description,
            event_types=_each_once(event_types),
            stores=_each_once(_own_stores(principal) if stores is None else stores),
            include_late=include_late,
            state=EndpointState.ENABLED,
            disabled_reason=None,
            created_at=now,
            updated_at=now,
        )
        signing_secret = secret or _new_secret()
        await self._repository.add_endpoint(
            endpoint, signing_secret, from_beginning=from_beginning
        )
        return endpoint, signing_secret

    async def get(self, endpoint_id: str, *, principal: Principal) -> Endpoint:
        """Get an endpoint.

        Raises:
            NotFoundError: There is none, or none that the caller may know of.
        """
        endpoint = await self._repository.find_endpoint(endpoint_id)
        if endpoint is None or not _may_know(principal, endpoint):
            raise _no_endpoint(endpoint_id)
        return endpoint

    async def list_page(self, page: PageRequest, *, principal: Principal) -> Page[Endpoint]:
        """List the endpoints that the caller may know of, oldest first."""
        found = await self._repository.list_endpoints(
            after=_text_key(page), limit=page.limit + 1, among=principal.stores
        )
        return page_of(found, page.limit, lambda endpoint: (endpoint.endpoint_id,))

    async def update(
        self, endpoint_id: str, change: EndpointChange, *, principal: Principal
    ) -> Endpoint:
        """Change an endpoint.

        What it hears of changes from now on. One that is enabled again catches up with what was
        recorded while it was disabled.

        Raises:
            NotFoundError: There is none, or none that the caller may know of.
            InvalidInputError: Every fault of the input, an address that is not allowed included.
            ForbiddenError: A store that the caller is not bound to.
        """
        await self.get(endpoint_id, principal=principal)
        faults = await self._faults(
            principal,
            url=_given(change.url),
            event_types=_given(change.event_types),
            stores=_given(change.stores),
        )
        if faults:
            raise InvalidInputError(faults)
        if change.stores is None:
            change = msgspec.structs.replace(change, stores=_own_stores(principal))
        now = self._now()
        changed = await self._repository.update_endpoint(
            endpoint_id, lambda endpoint: change.apply(endpoint, now)
        )
        if changed is None:
            raise _no_endpoint(endpoint_id)
        return changed

    async def delete(self, endpoint_id: str, *, principal: Principal) -> None:
        """Delete an endpoint with its deliveries; what is under way may still arrive.

        Raises:
            NotFoundError: There is none, or none that the caller may know of.
        """
        await self.get(endpoint_id, principal=principal)
        await self._repository.delete_endpoint(endpoint_id)

    async def get_signing(self, endpoint_id: str, *, principal: Principal) -> Signing:
        """Get the secrets of an endpoint that sign now.

        Raises:
            NotFoundError: There is none, or none that the caller may know of.
        """
        await self.get(endpoint_id, principal=principal)
        signing = await self._repository.find_signing(endpoint_id)
        if signing is None:
            raise _no_endpoint(endpoint_id)
        return signing.at(self._now())

    async def rotate_secret(
        self, endpoint_id: str, *, principal: Principal, secret: str | None = None
    ) -> Signing:
        """Put a new secret in place; the one before signs too for another day.

        Raises:
            NotFoundError: There is none, or none that the caller may know of.
            InvalidInputError: A secret that was brought along is none.
        """
        await self.get(endpoint_id, principal=principal)
        if secret is not None and (fault := secret_fault(secret, "/secret")):
            raise InvalidInputError([fault])
        now = self._now()
        signing = await self._repository.rotate_secret(
            endpoint_id, secret or _new_secret(), previous_until=now + SECRET_OVERLAP, now=now
        )
        if signing is None:
            raise _no_endpoint(endpoint_id)
        return signing

    async def send_test(self, endpoint_id: str, *, principal: Principal) -> Answer:
        """Post a test message at once, to a disabled endpoint too, and tell what came of it.

        It is signed like any other and leaves no trace: no delivery, no attempt, no retry.

        Raises:
            NotFoundError: There is no endpoint, or none that the caller may know of.
        """
        endpoint = await self.get(endpoint_id, principal=principal)
        signing = await self.get_signing(endpoint_id, principal=principal)
        now = self._now()
        message_id = str(uuid7())
        body = body_of(
            Notice(
                store_id=None,
                seq=None,
                source=OWN_SOURCE,
                id=message_id,
                type=TEST_EVENT_TYPE,
                subject=endpoint_id,
                occurred_at=now,
                recorded_at=now,
                schema_version=1,
                correlation_id=None,
                causation_id=None,
                data=orjson.dumps({"endpoint_id": endpoint_id}),
            )
        )
        headers = headers_of(webhook_id=message_id, now=now, body=body, signing=signing)
        return await self._out.post(endpoint.url, headers=headers, content=body)

    async def list_deliveries(
        self,
        endpoint_id: str,
        page: PageRequest,
        *,
        principal: Principal,
        state: DeliveryState | None = None,
        store_id: str | None = None,
    ) -> Page[Delivery]:
        """List deliveries of an endpoint, newest first.

        Raises:
            NotFoundError: There is no endpoint, or none that the caller may know of.
        """
        await self.get(endpoint_id, principal=principal)
        found = await self._repository.list_deliveries(
            endpoint_id,
            before=_text_key(page),
            limit=page.limit + 1,
            state=state,
            store_id=store_id,
        )
        return page_of(found, page.limit, lambda delivery: (delivery.delivery_id,))

    async def get_delivery(
        self, endpoint_id: str, delivery_id: str, *, principal: Principal
    ) -> Delivery:
        """Get a delivery.

        Raises:
            NotFoundError: There is none, or none that the caller may know of.
        """
        await self.get(endpoint_id, principal=principal)
        delivery = await self._repository.find_delivery(endpoint_id, delivery_id)
        if delivery is None:
            raise _no_delivery(delivery_id)
        return delivery

    async def list_attempts(
        self, endpoint_id: str, delivery_id: str, page: PageRequest, *, principal: Principal
    ) -> Page[Attempt]:
        """List the tries of a delivery, oldest first.

        Raises:
            NotFoundError: There is no delivery, or none that the caller may know of.
        """
        delivery = await self.get_delivery(endpoint_id, delivery_id, principal=principal)
        key = page.key(int)
        found = await self._repository.list_attempts(
            delivery.store_id,
            delivery_id,
            after=key[0] if key and isinstance(key[0], int) else 0,
            limit=page.limit + 1,
        )
        return page_of(found, page.limit, lambda attempt: (attempt.attempt,))

    async def redeliver(
        self, endpoint_id: str, delivery_id: str, *, principal: Principal
    ) -> Delivery:
        """Make a delivery due at once, whatever became of it, under its old `webhook-id`.

        The retry schedule goes on where it stood: once it is exhausted, this is a single try.

        Raises:
            NotFoundError: There is no delivery, or none that the caller may know of.
            ConflictError: The endpoint is disabled.
        """
        endpoint = await self.get(endpoint_id, principal=principal)
        delivery = await self.get_delivery(endpoint_id, delivery_id, principal=principal)
        if endpoint.state is EndpointState.DISABLED:
            raise ConflictError(
                "The endpoint is disabled; enable it first.", state=endpoint.state.value
            )
        due = await self._repository.redeliver(delivery, now=self._now())
        if due is None:
            raise _no_delivery(delivery_id)
        return due

    async def _faults(
        self,
        principal: Principal,
        *,
        url: str | None,
        event_types: Sequence[str] | None,
        stores: Sequence[str] | None,
        secret: str | None = None,
    ) -> list[Fault]:
        """Check what was given; None was not given or needs no check."""
        faults: list[Fault] = []
        if url is not None and (fault := await self._url_fault(url)):
            faults.append(fault)
        faults += [
            Fault(
                f"/event_types/{index}",
                "unknown-event-type",
                f"There is no event type {name}; GET /v1/event-types lists them.",
            )
            for index, name in enumerate(event_types or ())
            if name not in CATALOG
        ]
        for store_id in stores or ():
            principal.require((), store_id)
        known = await self._stores.get_many(stores or ())
        faults += [
            Fault(f"/stores/{index}", "unknown-store", f"There is no store {store_id}.")
            for index, store_id in enumerate(stores or ())
            if store_id not in known
        ]
        if secret is not None and (fault := secret_fault(secret, "/secret")):
            faults.append(fault)
        return faults

    async def _url_fault(self, url: str) -> Fault | None:
        """Check the form of a URL and where its host is, as far as that is known now."""
        if fault := url_fault(url, "/url"):
            return fault
        try:
            await self._out.check(url)
        except AddressRefusedError as error:
            return Fault("/url", "address-not-allowed", str(error))
        except UnresolvableHostError:
            # The name may be there tomorrow; each try looks it up, checks it and reports.
            return None
        return None


def _may_know(principal: Principal, endpoint: Endpoint) -> bool:
    if principal.stores is None:
        return True
    return endpoint.stores is not None and principal.stores.issuperset(endpoint.stores)


def _own_stores(principal: Principal) -> Sequence[str] | None:
    return None if principal.stores is None else tuple(principal.stores)


def _each_once(values: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(sorted(set(values)))


def _given(value: Given | UnsetType) -> Given | None:
    return None if value is UNSET else value


def _new_secret() -> str:
    return secret_of(secrets.token_bytes(NEW_SECRET_BYTES))


def _text_key(page: PageRequest) -> str | None:
    key = page.key(str)
    return None if key is None else str(key[0])


def _no_endpoint(endpoint_id: str) -> NotFoundError:
    return NotFoundError(f"There is no webhook endpoint {endpoint_id}.")


def _no_delivery(delivery_id: str) -> NotFoundError:
    return NotFoundError(f"The endpoint has no delivery {delivery_id}.")
