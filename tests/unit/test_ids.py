"""Derived identities."""

from uuid import NAMESPACE_URL, uuid5

from hypothesis import given
from hypothesis import strategies as st

from app.domain.ids import EVENT_NAMESPACE, follow_up_id, own_event_id

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(store_id=texts, ro_number=texts, kind=st.sampled_from(["first", "second"]))
def test_h13_the_id_of_a_planned_call_is_a_uuid5_of_store_order_and_kind(
    store_id: str, ro_number: str, kind: str
) -> None:
    namespace = uuid5(NAMESPACE_URL, "urn:servicelane:follow-up")
    expected = uuid5(namespace, f"{store_id}/{ro_number}/{kind}")
    assert follow_up_id(store_id, ro_number, kind) == str(expected)


def test_h16_the_id_of_an_own_event_tells_subject_type_and_cause() -> None:
    event_id = own_event_id("x", "follow_up.overdue", 7)
    assert event_id == str(uuid5(EVENT_NAMESPACE, "x/follow_up.overdue/7"))
    others = {
        own_event_id("y", "follow_up.overdue", 7),
        own_event_id("x", "follow_up.resolved", 7),
        own_event_id("x", "follow_up.overdue", 8),
    }
    assert len(others | {event_id}) == 4
