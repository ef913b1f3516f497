"""Identities that the service derives, so that the same cause gives the same id again."""

from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

SOURCE: Final = "/servicelane"
FOLLOW_UP_NAMESPACE: Final[UUID] = uuid5(NAMESPACE_URL, "urn:servicelane:follow-up")
EVENT_NAMESPACE: Final[UUID] = uuid5(NAMESPACE_URL, "urn:servicelane:event")


def follow_up_id(store_id: str, ro_number: str, kind: str) -> str:
    """The id of the follow-up of that kind which the service plans for an order (H13)."""
    return str(uuid5(FOLLOW_UP_NAMESPACE, f"{store_id}/{ro_number}/{kind}"))


def own_event_id(subject: str, event_type: str, cause_seq: int) -> str:
    """The id of an event that the service writes because of another one (H16)."""
    return str(uuid5(EVENT_NAMESPACE, f"{subject}/{event_type}/{cause_seq}"))
