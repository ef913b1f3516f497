"""What webhooks say, how they are signed, and when they come again."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from app.domain.webhooks import (
    CONTENT_TYPE,
    DEFAULT_EVENT_TYPES,
    DELAYS,
    MAX_RETRY_AFTER,
    MAX_URL_LENGTH,
    DeliveryState,
    Endpoint,
    EndpointState,
    Notice,
    Reply,
    Signing,
    body_of,
    headers_of,
    is_late,
    judge,
    retry_after,
    secret_fault,
    secret_of,
    url_fault,
)

NOW = datetime(2026, 3, 4, 5, 6, 7, 890, tzinfo=UTC)
SECRET = secret_of(bytes(range(32)))
OTHER_SECRET = secret_of(bytes(range(32, 64)))


def notice(**changes: object) -> Notice:
    values: dict[str, object] = {
        "store_id": "SH01",
        "seq": 1041,
        "source": "/servicelane",
        "id": "5b0c9b7e-0d5d-5f5e-8a57-0e6f4f6a3a11",
        "type": "follow_up.overdue",
        "subject": "8d6f0e0a-6a3e-5a86-9b55-3f0f5f0f1d11",
        "occurred_at": datetime(2026, 3, 4, 15, 59, 59, tzinfo=UTC),
        "recorded_at": datetime(2026, 3, 4, 16, 0, 0, 250_000, tzinfo=UTC),
        "schema_version": 1,
        "correlation_id": None,
        "causation_id": None,
        "data": b'{"due_at": "2026-03-04T15:59:59Z", "late_seconds": 1}',
        "alert_id": "5b0c9b7e-0d5d-5f5e-8a57-0e6f4f6a3a11",
    }
    return Notice(**(values | changes))  # type: ignore[arg-type]


def endpoint(**changes: object) -> Endpoint:
    values: dict[str, object] = {
        "endpoint_id": "e",
        "url": "https://hooks.example/",
        "description": None,
        "event_types": None,
        "stores": None,
        "include_late": False,
        "state": EndpointState.ENABLED,
        "disabled_reason": None,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Endpoint(**(values | changes))  # type: ignore[arg-type]


def test_the_default_filter_is_the_alerts_of_the_service() -> None:
    assert (
        endpoint().types
        == DEFAULT_EVENT_TYPES
        == {
            "follow_up.overdue",
            "follow_up.resolved",
            "complaint.contact_overdue",
            "complaint.contact_resolved",
            "feed.silent",
            "feed.resumed",
            "quarantine.growing",
            "quarantine.settled",
        }
    )


def test_an_endpoint_hears_of_its_types_and_stores() -> None:
    narrow = endpoint(event_types=("customer.registered",), stores=("SH01",))

    assert narrow.types == {"customer.registered"}
    assert narrow.covers("SH01")
    assert not narrow.covers("SH02")
    assert endpoint().covers("SH02")


def test_late_is_recorded_more_than_a_day_after_its_time() -> None:
    assert not is_late(NOW, NOW + timedelta(hours=24))
    assert is_late(NOW, NOW + timedelta(hours=24, microseconds=1))
    assert not is_late(NOW, NOW - timedelta(minutes=5))


def test_the_body_is_the_cloudevents_envelope() -> None:
    body = json.loads(body_of(notice(correlation_id="c-1", causation_id="e-9")))

    assert body == {
        "specversion": "1.0",
        "id": "5b0c9b7e-0d5d-5f5e-8a57-0e6f4f6a3a11",
        "source": "/servicelane",
        "type": "follow_up.overdue",
        "store": "SH01",
        "subject": "8d6f0e0a-6a3e-5a86-9b55-3f0f5f0f1d11",
        "time": "2026-03-04T15:59:59Z",
        "datacontenttype": "application/json",
        "correlationid": "c-1",
        "causationid": "e-9",
        "seq": "1041",
        "recordedtime": "2026-03-04T16:00:00.250000Z",
        "alertid": "5b0c9b7e-0d5d-5f5e-8a57-0e6f4f6a3a11",
        "data": {"due_at": "2026-03-04T15:59:59Z", "late_seconds": 1},
    }


def test_what_is_unknown_is_absent_and_times_are_utc() -> None:
    shanghai = timezone(timedelta(hours=8))
    body = json.loads(
        body_of(
            notice(
                store_id=None,
                seq=None,
                alert_id=None,
                occurred_at=datetime(2026, 3, 4, 23, 59, 59, tzinfo=shanghai),
            )
        )
    )

    assert body["time"] == "2026-03-04T15:59:59Z"
    assert not {"store", "seq", "alertid", "correlationid", "causationid"} & body.keys()


def test_a_later_version_of_the_data_is_named() -> None:
    assert "dataschema" not in json.loads(body_of(notice()))
    assert json.loads(body_of(notice(schema_version=2)))["dataschema"].endswith("/v2")


def test_a_receiver_verifies_with_the_standard_library() -> None:
    now = datetime.now(UTC)
    body = body_of(notice())
    headers = headers_of(webhook_id="d-1", now=now, body=body, signing=Signing(SECRET))

    assert headers["content-type"] == CONTENT_TYPE
    assert headers["webhook-id"] == "d-1"
    assert headers["webhook-timestamp"] == str(int(now.timestamp()))
    assert Webhook(SECRET).verify(body, headers)["type"] == "follow_up.overdue"
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER_SECRET).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" ", headers)


def test_a_replaced_secret_signs_too_until_its_time_is_over() -> None:
    now = datetime.now(UTC)
    body = body_of(notice())
    signing = Signing(SECRET, previous=OTHER_SECRET, previous_until=now + timedelta(seconds=1))

    both = headers_of(webhook_id="d-1", now=now, body=body, signing=signing)
    Webhook(SECRET).verify(body, both)
    Webhook(OTHER_SECRET).verify(body, both)
    later = now + timedelta(seconds=1)
    one = headers_of(webhook_id="d-1", now=later, body=body, signing=signing)
    assert len(one["webhook-signature"].split()) == 1
    Webhook(SECRET).verify(body, one)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_2xx_is_delivered(status: int) -> None:
    verdict = judge(attempt=1, reply=Reply(status), now=NOW, jitter=0)

    assert verdict.state is DeliveryState.DELIVERED
    assert verdict.next_attempt_at is None


@pytest.mark.parametrize("status", [None, 100, 301, 302, 307, 400, 404, 408, 429, 500, 502, 504])
def test_anything_else_is_tried_again(status: int | None) -> None:
    verdict = judge(attempt=1, reply=Reply(status), now=NOW, jitter=0)

    assert verdict.state is DeliveryState.PENDING
    assert verdict.next_attempt_at == NOW + timedelta(seconds=5)
    assert not verdict.disable


def test_410_ends_the_delivery_and_disables_the_endpoint() -> None:
    verdict = judge(attempt=1, reply=Reply(410), now=NOW, jitter=0)

    assert verdict.state is DeliveryState.FAILED
    assert verdict.disable


def test_the_schedule_is_that_of_standard_webhooks() -> None:
    since_start = [timedelta(0)]
    for attempt in range(1, 10):
        verdict = judge(attempt=attempt, reply=Reply(500), now=NOW, jitter=0)
        assert verdict.next_attempt_at is not None
        since_start.append(since_start[-1] + (verdict.next_attempt_at - NOW))

    assert [str(span) for span in since_start] == [
        "0:00:00",
        "0:00:05",
        "0:05:05",
        "0:35:05",
        "2:35:05",
        "7:35:05",
        "17:35:05",
        "1 day, 7:35:05",
        "2 days, 3:35:05",
        "3 days, 3:35:05",
    ]


@pytest.mark.parametrize("attempt", [10, 11])
def test_an_exhausted_schedule_is_failed(attempt: int) -> None:
    verdict = judge(attempt=attempt, reply=Reply(500, "60"), now=NOW, jitter=0)

    assert verdict.state is DeliveryState.FAILED
    assert verdict.next_attempt_at is None


@given(
    attempt=st.integers(1, 9), jitter=st.floats(0, 1, exclude_max=True), wait=st.integers(0, 10**9)
)
def test_a_try_is_never_early_and_at_most_a_tenth_late(
    attempt: int, jitter: float, wait: int
) -> None:
    verdict = judge(attempt=attempt, reply=Reply(503, str(wait)), now=NOW, jitter=jitter)

    assert verdict.next_attempt_at is not None
    delay = verdict.next_attempt_at - NOW
    asked = min(timedelta(seconds=wait), MAX_RETRY_AFTER)
    assert max(DELAYS[attempt], asked) <= delay <= max(DELAYS[attempt] * 1.1, asked)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("120", 120),
        (" 120 ", 120),
        ("0", 0),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("٣", 0),
        ("999999999999999999", 86400),
        ("9" * 400, 0),
        ("Wed, 04 Mar 2026 05:16:07 GMT", 600),
        ("Wed, 04 Mar 2026 05:16:07 -0000", 600),
        ("Wednesday, 04-Mar-26 05:16:07 GMT", 600),
        ("Wed, 04 Mar 2026 05:00:00 GMT", 0),
        ("Wed, 04 Mar 2099 05:00:00 GMT", 86400),
        ("Wed, 99 Mar 2026 05:00:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_capped(value: str | None, seconds: int) -> None:
    assert retry_after(value, NOW.replace(microsecond=0)) == timedelta(seconds=seconds)


@given(st.text(max_size=60))
def test_no_retry_after_is_too_odd(value: str) -> None:
    assert timedelta(0) <= retry_after(value, NOW) <= MAX_RETRY_AFTER


def test_retry_after_puts_off_the_next_try_and_the_whole_endpoint() -> None:
    date = format_datetime(NOW + timedelta(minutes=10), usegmt=True)
    for status, value in ((429, date), (503, "600")):
        verdict = judge(attempt=1, reply=Reply(status, value), now=NOW, jitter=0)
        assert verdict.next_attempt_at is not None
        assert verdict.next_attempt_at == verdict.pause_until
        assert abs(verdict.next_attempt_at - NOW - timedelta(minutes=10)) < timedelta(seconds=1)

    one_event = judge(attempt=1, reply=Reply(500, "600"), now=NOW, jitter=0)
    assert one_event.next_attempt_at == NOW + timedelta(minutes=10)
    assert one_event.pause_until is None


def test_a_shorter_retry_after_does_not_hurry_the_schedule() -> None:
    verdict = judge(attempt=2, reply=Reply(503, "1"), now=NOW, jitter=0)

    assert verdict.next_attempt_at == NOW + timedelta(minutes=5)


@pytest.mark.parametrize("length", [24, 32, 64])
def test_a_secret_is_whsec_and_random_bytes(length: int) -> None:
    secret = secret_of(bytes(length))

    assert secret == "whsec_" + base64.b64encode(bytes(length)).decode()
    assert secret_fault(secret, "/secret") is None


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "WHSEC_" + base64.b64encode(bytes(32)).decode(),
        base64.b64encode(bytes(32)).decode(),
        "whsec_" + "ü" * 40,
        "whsec_" + "A" * 41,
    ],
)
def test_other_secrets_are_faults(secret: str) -> None:
    fault = secret_fault(secret, "/secret")

    assert fault is not None
    assert (fault.pointer, fault.code) == ("/secret", "invalid-secret")


def test_a_secret_of_another_length_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="24 to 64"):
        secret_of(bytes(16))


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/in",
        "http://10.0.0.1:8080/in?a=b",
        "https://[2001:db8::1]:8443/",
        "https://例子.中国/钩子",
    ],
)
def test_urls_that_can_be_posted_to(url: str) -> None:
    assert url_fault(url, "/url") is None


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "invalid-url"),
        ("hooks.example", "invalid-url"),
        ("ftp://hooks.example/", "invalid-url"),
        ("file:///etc/passwd", "invalid-url"),
        ("https://", "invalid-url"),
        ("https:///path", "invalid-url"),
        ("https://hooks.example:0/", "invalid-url"),
        ("https://hooks.example:99999/", "invalid-url"),
        ("https://[::1/", "invalid-url"),
        ("https://hooks.example/a b", "invalid-url"),
        ("https://hooks.example/a\r\nx: y", "invalid-url"),
        ("https://hooks.example/#part", "invalid-url"),
        ("https://user:password@hooks.example/", "url-with-password"),
        ("https://user@hooks.example/", "url-with-password"),
        ("https://hooks.example/" + "a" * MAX_URL_LENGTH, "invalid-url"),
    ],
)
def test_other_urls_are_faults(url: str, code: str) -> None:
    fault = url_fault(url, "/url")

    assert fault is not None
    assert (fault.pointer, fault.code) == ("/url", code)
