"""Derived identities."""

from uuid import NAMESPACE_URL, uuid5

from app.domain.ids import follow_up_id, own_event_id


def test_h13_the_id_of_a_planned_call_is_a_uuid5_of_store_order_and_kind() -> None:
    namespace = uuid5(NAMESPACE_URL, "urn:servicelane:follow-up")
    assert follow_up_id("SH01", "RO 1/2", "first") == str(uuid5(namespace, "SH01/RO 1/2/first"))


def test_h16_the_id_of_an_own_event_tells_subject_type_and_cause() -> None:
    event_id = own_event_id("x", "follow_up.overdue", 7)
    assert event_id == own_event_id("x", "follow_up.overdue", 7)
    others = {
        own_event_id("y", "follow_up.overdue", 7),
        own_event_id("x", "follow_up.resolved", 7),
        own_event_id("x", "follow_up.overdue", 8),
    }
    assert len(others | {event_id}) == 4
