"""Webhooks: which events an endpoint hears of, what it is sent, signed how, and when again.

Headers and signature are those of Standard Webhooks 1.0. The body is the event's CloudEvents
envelope in structured mode, so it goes out as `application/cloudevents+json`: Standard Webhooks
asks for JSON and leaves its name open, CloudEvents does not (as `application/json` a CloudEvents
SDK would look for the attributes in the headers).
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

import orjson
from standardwebhooks import Webhook

from app.domain.errors import Fault

ALERT_OF: Final[Mapping[str, str]] = {
    "follow_up.overdue": "follow_up.overdue",
    "follow_up.resolved": "follow_up.overdue",
    "complaint.contact_overdue": "complaint.contact_overdue",
    "complaint.contact_resolved": "complaint.contact_overdue",
    "feed.silent": "feed.silent",
    "feed.resumed": "feed.silent",
    "quarantine.growing": "quarantine.growing",
    "quarantine.settled": "quarantine.growing",
}
"""The service's own alerts: type of a notice -> type of the notice that raised the alert.

These types are what an endpoint without a filter hears of. A notice that ends an alert carries
the id of the one that raised it (`alertid`)."""

DEFAULT_EVENT_TYPES: Final = frozenset(ALERT_OF)

TEST_EVENT_TYPE: Final = "webhook.test"
"""Type of the message that tries an endpoint out; never in the log."""

CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"

LATE_AFTER: Final = timedelta(hours=24)
"""An event recorded later than this after its own time is history rather than news."""

DELAYS: Final = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""The schedule of Standard Webhooks: how long after the try before each try is made."""

JITTER: Final = 0.1
"""Tries come up to this part of their delay later, so that failures don't come back as one."""

MAX_RETRY_AFTER: Final = DELAYS[-1]
"""The longest that a receiver can put us off."""

SECRET_OVERLAP: Final = timedelta(hours=24)
"""How long a secret that was replaced goes on signing beside the new one."""

MAX_URL_LENGTH: Final = 2048

NEW_SECRET_BYTES: Final = 32
_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = range(24, 64 + 1)

_GONE: Final = 410
_THROTTLED: Final = frozenset({429, 503})
_USER_AGENT: Final = "servicelane-webhooks"
_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f]")


class EndpointState(StrEnum):
    """Whether an endpoint is sent anything."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class DeliveryState(StrEnum):
    """What became of a delivery; `pending` ones are tried (again) when their time comes."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where notices go, and which ones.

    Attributes:
        event_types: What it hears of; None is the service's own alerts.
        stores: Whose events; None is every store, those to come included.
        include_late: Also what was recorded more than a day after it happened.
        disabled_reason: Why it is disabled: `manual`, or `gone` (it answered 410).
    """

    endpoint_id: str
    url: str
    description: str | None
    event_types: tuple[str, ...] | None
    stores: tuple[str, ...] | None
    include_late: bool
    state: EndpointState
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def types(self) -> frozenset[str]:
        """The event types that it hears of."""
        return DEFAULT_EVENT_TYPES if self.event_types is None else frozenset(self.event_types)

    def covers(self, store_id: str) -> bool:
        """Tell whether events of the store are for this endpoint."""
        return self.stores is None or store_id in self.stores


@dataclass(frozen=True, slots=True)
class Signing:
    """The secrets of an endpoint.

    Attributes:
        previous: The one before, which signs too until `previous_until`.
    """

    secret: str
    previous: str | None = None
    previous_until: datetime | None = None

    def at(self, now: datetime) -> "Signing":
        """The secrets that sign at `now`."""
        if self.previous_until is not None and now < self.previous_until:
            return self
        return Signing(self.secret)


@dataclass(frozen=True, slots=True)
class Notice:
    """An event as webhooks send it: what the log holds, so no personal fields.

    Attributes:
        seq: None for a message that is not in the log (a test).
        data: JSON as the log has it.
        alert_id: Id of the event that raised the alert, if this is a notice of one.
    """

    store_id: str | None
    seq: int | None
    source: str
    id: str
    type: str
    subject: str
    occurred_at: datetime
    recorded_at: datetime
    schema_version: int
    correlation_id: str | None
    causation_id: str | None
    data: bytes
    alert_id: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint.

    Attributes:
        delivery_id: Also the `webhook-id` of every try: the receiver knows it again by it.
        attempts: Tries whose outcome is known.
        next_attempt_at: While pending; else of the last try.
        finished_at: When it was delivered or given up.
    """

    store_id: str
    delivery_id: str
    endpoint_id: str
    seq: int
    type: str
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a delivery.

    Attributes:
        attempt: Its number, from 1.
        status: What was answered; None if nothing was.
        error: Why nothing was answered.
        response_excerpt: The beginning of the answer's body.
    """

    attempt: int
    started_at: datetime
    duration_ms: int
    status: int | None
    error: str | None
    response_excerpt: str | None


@dataclass(frozen=True, slots=True)
class Reply:
    """What an endpoint said to a try; `status` is None if it said nothing."""

    status: int | None
    retry_after: str | None = None

    @property
    def is_success(self) -> bool:
        """Tell whether the endpoint has taken the notice."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 (2xx)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from a try.

    Attributes:
        next_attempt_at: When to try again; None when the delivery is finished.
        disable: The endpoint wants nothing any more.
        pause_until: The endpoint wants nothing at all before then.
    """

    state: DeliveryState
    next_attempt_at: datetime | None = None
    disable: bool = False
    pause_until: datetime | None = None


def is_late(occurred_at: datetime, recorded_at: datetime) -> bool:
    """Tell whether an event was recorded more than a day after its time.

    The time of an overdue notice is its deadline: one that was found more than a day after it
    (the service was down) is late too.
    """
    return recorded_at - occurred_at > LATE_AFTER


def judge(*, attempt: int, reply: Reply, now: datetime, jitter: float) -> Verdict:
    """Decide what follows from a try.

    Args:
        attempt: Number of the try that was just made, from 1.
        reply: What came back.
        now: When it came, by the machine's clock.
        jitter: A random number in [0, 1).
    """
    if reply.is_success:
        return Verdict(DeliveryState.DELIVERED)
    if reply.status == _GONE:
        return Verdict(DeliveryState.FAILED, disable=True)
    asked = retry_after(reply.retry_after, now)
    pause_until = now + asked if asked and reply.status in _THROTTLED else None
    if attempt >= len(DELAYS):
        return Verdict(DeliveryState.FAILED, pause_until=pause_until)
    delay = max(DELAYS[attempt] * (1 + JITTER * jitter), asked)
    return Verdict(DeliveryState.PENDING, next_attempt_at=now + delay, pause_until=pause_until)


def retry_after(value: str | None, now: datetime) -> timedelta:
    """Read a Retry-After header (RFC 9110, section 10.2.3: seconds or a date).

    Returns:
        How long to wait from `now`, at most `MAX_RETRY_AFTER`; zero if it says nothing readable.
    """
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,18}", text):
        return timedelta(seconds=min(int(text), MAX_RETRY_AFTER.total_seconds()))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError):
        return timedelta(0)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(moment - now, timedelta(0)), MAX_RETRY_AFTER)


def body_of(notice: Notice) -> bytes:
    """Write a notice as a CloudEvents envelope in structured mode; the same bytes every time."""
    attributes = {
        "specversion": "1.0",
        "id": notice.id,
        "source": notice.source,
        "type": notice.type,
        "store": notice.store_id,
        "subject": notice.subject,
        "time": _instant(notice.occurred_at),
        "datacontenttype": "application/json",
        "dataschema": _schema(notice),
        "correlationid": notice.correlation_id,
        "causationid": notice.causation_id,
        "seq": None if notice.seq is None else str(notice.seq),
        "recordedtime": _instant(notice.recorded_at),
        "alertid": notice.alert_id,
        "data": orjson.Fragment(notice.data),
    }
    return orjson.dumps({name: value for name, value in attributes.items() if value is not None})


def headers_of(*, webhook_id: str, now: datetime, body: bytes, signing: Signing) -> dict[str, str]:
    """Make the headers of a try: who it is for the receiver to know again, when, and signed.

    Args:
        webhook_id: The same for every try of a delivery; without a full stop.
        now: The machine's time: receivers refuse what is more than minutes away from theirs.
        body: The exact bytes that are sent.
        signing: With more than one valid secret there are as many signatures.
    """
    text = body.decode()
    valid = signing.at(now)
    signatures = [
        Webhook(secret).sign(webhook_id, now, text)
        for secret in (valid.secret, valid.previous)
        if secret is not None
    ]
    return {
        "content-type": CONTENT_TYPE,
        "user-agent": _USER_AGENT,
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def secret_of(random_bytes: bytes) -> str:
    """Write random bytes, 24 to 64 of them, as a secret."""
    if len(random_bytes) not in _SECRET_BYTES:
        raise ValueError("a secret is made of 24 to 64 random bytes")
    return _PREFIX + base64.b64encode(random_bytes).decode()


def secret_fault(secret: str, pointer: str) -> Fault | None:
    """Say what is wrong with a secret that a caller brings along."""
    prefix, encoded = secret[: len(_PREFIX)], secret[len(_PREFIX) :]
    try:
        length = len(base64.b64decode(encoded, validate=True))
    except (ValueError, binascii.Error):
        length = 0
    if prefix == _PREFIX and length in _SECRET_BYTES:
        return None
    return Fault(pointer, "invalid-secret", "A secret is whsec_ and 24 to 64 bytes in base64.")


def url_fault(url: str, pointer: str) -> Fault | None:
    """Say what is wrong with the form of an endpoint's URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return Fault(pointer, "invalid-url", "This is no URL.")
    if parts.username is not None or parts.password is not None:
        return Fault(
            pointer,
            "url-with-password",
            "The URL must carry no user and password: verify the signature instead.",
        )
    if len(url) > MAX_URL_LENGTH:
        problem = f"A URL has at most {MAX_URL_LENGTH} characters."
    elif parts.scheme not in {"http", "https"} or _UNPRINTABLE.search(url):
        problem = "A URL of http or https, without spaces, is needed."
    elif not parts.hostname or port == 0:
        problem = "The URL names no host and port to send to."
    elif parts.fragment:
        problem = "The part after # never reaches a server."
    else:
        return None
    return Fault(pointer, "invalid-url", problem)


def _schema(notice: Notice) -> str | None:
    """Name the version of the data; absent is the first, on the way in as well."""
    if notice.schema_version == 1:
        return None
    return f"urn:servicelane:event:{notice.type}/v{notice.schema_version}"


def _instant(moment: datetime) -> str:
    """Write an instant as RFC 3339, UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
