"""The door of the log: what a caller sent becomes an event, or is rejected with the reason.

The checks and their order are those of fine print A10 and A11, as far as they need nothing but
the event itself: whether its identity is taken and whether a retraction has a target is for the
appender to find out.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import orjson
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from app.domain.errors import Fault
from app.domain.events.catalog import CATALOG, Catalog
from app.domain.events.envelope import OWN_SOURCE, Kind, NewEvent, Reason, Rejected
from app.domain.events.event_type import EventType
from app.domain.events.form import Content, Form, Limits
from app.domain.events.item import Unreadable
from app.domain.events.names import Naming
from app.domain.events.order_times import odd_times, times_to_come
from app.domain.events.payload import Payload
from app.domain.events.readers import read_instant
from app.domain.events.retraction import EventRetracted
from app.domain.events.shape import check_text, check_unknown, join, storable
from app.domain.events.staff import StaffTimecardRecorded
from app.domain.events.value_maps import Applied, SourceValues

__all__ = ["Limits", "content_hash", "parse_event", "state_key"]

SPEC_VERSION: Final = "1.0"
MAX_ID: Final = 128
MAX_SOURCE: Final = 256
MAX_TRACE: Final = 256
"""Characters of `correlationid` and `causationid`."""

_REQUIRED: Final = ("specversion", "id", "source", "type", "store", "subject", "time")
_TRACES: Final = ("correlationid", "causationid")
_KNOWN: Final = frozenset(
    {*_REQUIRED, *_TRACES, "data", "data_base64", "datacontenttype", "dataschema"}
)
_USUAL: Final = frozenset({*_REQUIRED, "data", "datacontenttype"})
_STORE: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_JSON: Final = "application/json"
_JSON_TYPE: Final = re.compile(r"application/(?:[^\s;/]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
_DATA_SCHEMA: Final = re.compile(r"(?:.*/)?v([1-9][0-9]{0,8})", re.DOTALL)
_BLOCK: Final = 64
"""Bytes of a block of SHA-256."""

_NOTHING: Final[dict[str, Any]] = {}
_NO_VALUES: Final[Mapping[str, SourceValues]] = {}
_MALFORMED: Final = 0
"""Stands for the version that a malformed `dataschema` names."""


_Read = tuple[EventType, int, str, datetime, Content]
"""What was read of an event: type, version, subject, time and content."""


_NO_OBJECT: Final = "An event must be a JSON object."
_SEND_LISTS: Final = "Send those of a list one by one, or as application/cloudevents-batch+json."


class _RefusedError(Exception):
    """The event can't be accepted; nothing that comes later in the order is looked at."""

    def __init__(self, reason: Reason, *faults: Fault) -> None:
        super().__init__(reason)
        self.reason = reason
        self.faults = faults


def parse_event(
    item: object,
    *,
    limits: Limits,
    now: datetime,
    secret: bytes,
    known_store: Callable[[str], bool],
    value_maps: Mapping[str, SourceValues] = _NO_VALUES,
    catalog: Catalog = CATALOG,
) -> NewEvent | Rejected:
    """Read one event as it was sent, in structured form.

    Args:
        item: Any JSON value, or what stands for one (`Unreadable`, or what was rejected before
            it could become an event: `Rejected`); it isn't changed.
        limits: How much is taken.
        now: When it was received.
        secret: Of the installation, for the content hash.
        known_store: Whether there is a store with that code that the caller may write to.
        value_maps: By source: what its coded values mean.
        catalog: The types that are known.

    Returns:
        The event, whose `key` is "" if it is an `event.retracted`. Or why it can't be accepted:
        the first reason that applies, with all that is wrong in that respect.
    """
    if not isinstance(item, dict):
        if isinstance(item, Rejected):
            return item
        fault = Fault("", "not-an-object", _NO_OBJECT)
        if isinstance(item, Unreadable):
            fault = item.fault
        elif isinstance(item, list):
            fault = Fault("", "not-an-object", f"{_NO_OBJECT} {_SEND_LISTS}")
        return Rejected(Reason.MISSING_ATTRIBUTE, (fault,))
    latest = now + limits.max_clock_skew
    names = Naming(secret, item.get("store", ""))
    source = item.get("source")
    values = value_maps.get(source) if value_maps and isinstance(source, str) else None
    applied = None if values is None else values.apply(item)
    meant = item if applied is None else applied.item
    try:
        read = _at_once(meant, limits, latest, known_store, catalog, names) or _step_by_step(
            meant, limits, latest, known_store, catalog, names
        )
        sent = read[-1] if applied is None else _as_sent(read, applied, limits)
        _check_times(read[-1].payload, latest)
    except _RefusedError as refused:
        return _rejected(item, refused.reason, refused.faults)
    event_type, version, subject, occurred_at, content = read
    payload = content.payload
    if version != event_type.version:
        payload = _lifted(event_type, version, content, names)
    return NewEvent(
        item["store"],
        item["source"],
        item["id"],
        event_type.name,
        event_type.kind or Kind.REPAIR_ORDER,
        state_key(subject, payload),
        subject,
        occurred_at,
        version,
        item.get("correlationid") or None,
        item.get("causationid") or None,
        payload,
        content.data,
        sent.aside,
        content_hash(
            secret,
            event_type.name,
            subject,
            occurred_at if event_type.timed else None,
            version,
            sent.canonical,
        ),
        content.warnings + odd_times(content.payload, occurred_at),
    )


def _at_once(
    item: dict[str, Any],
    limits: Limits,
    latest: datetime,
    known_store: Callable[[str], bool],
    catalog: Catalog,
    names: Naming,
) -> _Read | None:
    """Read an event about which nothing is unusual, as most are; None of any other.

    Whatever this accepts, `_step_by_step` accepts alike, in twice the time.
    """
    name, event_id, source = item.get("type"), item.get("id"), item.get("source")
    store_id, subject, time = item.get("store"), item.get("subject"), item.get("time")
    event_type = catalog.get(name) if isinstance(name, str) else None
    if (
        event_type is None
        or not event_type.is_plain
        or event_type.version != 1
        or not item.keys() <= _USUAL
        or item.get("specversion") != SPEC_VERSION
        or item.get("datacontenttype", _JSON) != _JSON
        or not (isinstance(event_id, str) and 0 < len(event_id) <= MAX_ID)
        or not (isinstance(source, str) and 0 < len(source) <= MAX_SOURCE)
        or not storable(event_id + source)
        or source.startswith(OWN_SOURCE)
        or not (isinstance(store_id, str) and known_store(store_id))
        or not isinstance(subject, str)
    ):
        return None
    form, data = event_type.forms[0], item.get("data", _NOTHING)
    key = event_type.subject.canonical(subject)
    try:
        occurred_at = read_instant(time)
        payload = form.read(data, extra="forbid", context=names)
    except (PydanticCustomError, ValidationError):
        return None
    content = form.known(payload, data, limits, names)
    if key is None or occurred_at > latest or content is None:
        return None
    return event_type, 1, key, occurred_at, content


def _step_by_step(
    item: dict[str, Any],
    limits: Limits,
    latest: datetime,
    known_store: Callable[[str], bool],
    catalog: Catalog,
    names: Naming,
) -> _Read:
    """Read an event in the order of A10.

    Raises:
        _RefusedError: It can't be accepted.
    """
    event_type, version = _type_of(item, catalog)
    if not known_store(item["store"]):
        fault = Fault("/store", "unknown-store", "There is no such store, or not for this key.")
        raise _RefusedError(Reason.UNKNOWN_STORE, fault)
    subject, occurred_at = _attributes(item, event_type, version, limits)
    if occurred_at > latest:
        fault = Fault("/time", "time-in-future", "The time is in the future.")
        raise _RefusedError(Reason.TIME_IN_FUTURE, fault)
    content = _content(item, event_type.forms[version - 1], limits, names)
    return event_type, version, subject, occurred_at, content


def state_key(subject: str, payload: Payload) -> str:
    """Return the key of the state that the event changes; "" of a retraction (J16)."""
    # `isinstance` would ask pydantic's metaclass, in Python, for every event
    if type(payload) is StaffTimecardRecorded:
        return f"{subject}/{payload.work_date.isoformat()}"
    return "" if type(payload) is EventRetracted else subject


def content_hash(
    secret: bytes,
    name: str,
    subject: str,
    occurred_at: datetime | None,
    version: int,
    canonical: bytes,
) -> bytes:
    """Return what tells the same content from another one, and nothing else about it (A9).

    Args:
        secret: Of the installation.
        name: The event's type.
        subject: In its canonical form.
        occurred_at: In UTC; None where the time is no part of the content.
        version: The schema version that the event was sent in.
        canonical: All of its data, see `Content`.
    """
    head = orjson.dumps([name, subject, occurred_at, version])
    return _hmac(secret, head + canonical)[:16]


@lru_cache(maxsize=8)
def _hmac_start(secret: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """Take the key in, which `hmac.digest` would do again for each event: half of its time."""
    key = secret if len(secret) <= _BLOCK else hashlib.sha256(secret).digest()
    key = key.ljust(_BLOCK, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in key) for pad in (0x36, 0x5C))
    return hashlib.sha256(inner), hashlib.sha256(outer)


def _hmac(secret: bytes, message: bytes) -> bytes:
    """Return the HMAC-SHA256 of RFC 2104."""
    inner, outer = _hmac_start(secret)
    inner, outer = inner.copy(), outer.copy()
    inner.update(message)
    outer.update(inner.digest())
    return outer.digest()


def _type_of(item: dict[str, Any], catalog: Catalog) -> tuple[EventType, int]:
    """Return the type of an event and the version that it was sent in."""
    for name in _REQUIRED:
        value = item.get(name)
        if not value or not isinstance(value, str):
            raise _RefusedError(Reason.MISSING_ATTRIBUTE, *_missing(item))
    event_type = catalog.get(item["type"])
    version = 1 if item.get("dataschema") is None else _version(item["dataschema"])
    newest = 1 if event_type is None else event_type.version
    if item["specversion"] != SPEC_VERSION:
        fault = Fault("/specversion", "unsupported-version", "Only CloudEvents 1.0 is read.")
        raise _RefusedError(Reason.UNSUPPORTED_VERSION, fault)
    if version > newest:
        detail = f"Version {newest} is the newest of this type that is known."
        fault = Fault("/dataschema", "unsupported-version", detail)
        raise _RefusedError(Reason.UNSUPPORTED_VERSION, fault)
    if event_type is None:
        fault = Fault("/type", "unknown-type", "There is no such event type.")
        raise _RefusedError(Reason.UNKNOWN_TYPE, fault)
    return event_type, version


def _missing(item: dict[str, Any]) -> Iterator[Fault]:
    for name in _REQUIRED:
        value = item.get(name)
        if not value or not isinstance(value, str):
            yield Fault(f"/{name}", "missing", f"The attribute {name} must be a text.")


def _version(schema: object) -> int:
    """Return the version that a `dataschema` ends in."""
    if isinstance(schema, str) and (match := _DATA_SCHEMA.fullmatch(schema)):
        return int(match[1])
    return _MALFORMED


def _attributes(
    item: dict[str, Any], event_type: EventType, version: int, limits: Limits
) -> tuple[str, datetime]:
    """Check all other attributes; return the subject's canonical form and the instant."""
    faults: list[Fault] = []
    occurred_at = None
    try:
        occurred_at = read_instant(item["time"])
    except PydanticCustomError as error:
        faults.append(Fault("/time", error.type, f"The time {error.message()}."))
    subject = event_type.subject.canonical(item["subject"])
    if subject is None:
        faults.append(Fault("/subject", "bad-format", event_type.subject.detail))
    faults += _odd(item, event_type, version, limits)
    if faults or subject is None or occurred_at is None:
        raise _RefusedError(Reason.INVALID_DATA, *faults)
    return subject, occurred_at


def _odd(
    item: dict[str, Any], event_type: EventType, version: int, limits: Limits
) -> Iterator[Fault]:
    """Yield what is wrong with all attributes but time and subject."""
    yield from check_text(item["id"], "/id", length=MAX_ID)
    yield from check_text(item["source"], "/source", length=MAX_SOURCE)
    if f"{item['source']}/".startswith(f"{OWN_SOURCE}/") or not event_type.posted:
        pointer = "/type" if not event_type.posted else "/source"
        yield Fault(pointer, "reserved", "Only the service itself writes such events.")
    content_type = item.get("datacontenttype")
    if content_type is not None and not (
        isinstance(content_type, str) and _JSON_TYPE.fullmatch(content_type)
    ):
        yield Fault("/datacontenttype", "not-json", "The data must be JSON.")
    if item.get("data_base64") is not None:
        yield Fault("/data_base64", "not-json", "The data must be JSON in `data`.")
    if version == _MALFORMED:
        yield Fault("/dataschema", "bad-format", "The dataschema must end in /v and a number.")
    for name in _TRACES:
        value = item.get(name)
        if isinstance(value, str):
            yield from check_text(value, f"/{name}", length=MAX_TRACE)
        elif value is not None:
            yield Fault(f"/{name}", "not-text", f"The attribute {name} must be a text.")
    for name in item.keys() - _KNOWN:
        yield from check_unknown(
            {name: item[name]}, "", depth=limits.max_depth + 1, length=limits.max_text
        )


def _content(item: dict[str, Any], form: Form, limits: Limits, names: Naming) -> Content:
    """Check the data."""
    data = item.get("data")
    if data is None:
        data = {}
    if not isinstance(data, dict):
        fault = Fault("/data", "not-an-object", "The data must be a JSON object.")
        raise _RefusedError(Reason.INVALID_DATA, fault)
    content = form.take(data, limits, names)
    if isinstance(content, list):
        raise _RefusedError(Reason.INVALID_DATA, *content)
    payload = content.payload
    if type(payload) is EventRetracted and payload.source == OWN_SOURCE:
        detail = "What the service wrote itself can't be retracted."
        raise _RefusedError(Reason.INVALID_DATA, Fault("/data/source", "reserved", detail))
    return content


def _check_times(payload: Payload, latest: datetime) -> None:
    """Refuse a snapshot whose facts are still to come."""
    if faults := times_to_come(payload, latest):
        raise _RefusedError(Reason.INVALID_DATA, *faults)


def _as_sent(read: _Read, applied: Applied, limits: Limits) -> Content:
    """Return the content with the values as sent: kept beside the log, and what it is told by."""
    event_type, version, _, _, content = read
    sent = event_type.forms[version - 1].as_sent(content, applied.sent, limits)
    faults = [*applied.faults, *(sent if isinstance(sent, list) else ())]
    if faults or isinstance(sent, list):
        raise _RefusedError(Reason.INVALID_DATA, *faults)
    return sent


def _lifted(event_type: EventType, version: int, content: Content, names: Naming) -> Payload:
    """Return the payload of an older version as one of the current version."""
    both = orjson.loads(content.data)
    if content.aside is not None:
        both = join(both, orjson.loads(content.aside))
    return event_type.lift(both, version, names)


def _rejected(item: dict[str, Any], reason: Reason, faults: Sequence[Fault]) -> Rejected:
    """Keep of the event whatever can be stored."""
    store_id = item.get("store")
    if not (isinstance(store_id, str) and _STORE.fullmatch(store_id)):
        store_id = None
    return Rejected(
        reason,
        tuple(faults),
        store_id,
        _readable(item.get("source"), MAX_SOURCE),
        _readable(item.get("id"), MAX_ID),
        _readable(item.get("type"), MAX_ID),
        _readable(item.get("subject"), MAX_ID),
    )


def _readable(value: object, length: int) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= length and storable(value):
        return value
    return None
