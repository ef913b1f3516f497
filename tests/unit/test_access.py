import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.access import (
    ALL_SCOPES,
    MASK,
    Peer,
    Principal,
    Scope,
    hash_of,
    is_loopback,
    is_token,
    masked,
    personal_for,
    token_of,
)
from app.domain.errors import ForbiddenError

PLAIN = {"name": "客户0001", "phones": ["1", "2"], "contact": {"phone": "3"}, "email": None}


@given(st.binary(min_size=32, max_size=32))
def test_every_secret_makes_a_key_of_the_known_form(secret: bytes) -> None:
    token = token_of(secret)
    assert is_token(token)
    assert len(hash_of(token)) == 32


def test_the_extremes_fit_and_differ() -> None:
    assert token_of(bytes(32)) == "sl_" + "0" * 43
    assert is_token(token_of(b"\xff" * 32))


def test_a_secret_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32"):
        token_of(b"short")


@pytest.mark.parametrize("text", ["", "sl_", "sk_" + "0" * 43, "sl_" + "0" * 42 + "é", "sl_ \n"])
def test_other_texts_are_no_keys(text: str) -> None:
    assert not is_token(text)


def test_two_keys_differ() -> None:
    assert token_of(secrets.token_bytes(32)) != token_of(secrets.token_bytes(32))


def test_a_principal_may_do_what_its_scopes_name_where_it_is_bound() -> None:
    bound = Principal("1", "dms", frozenset({Scope.EVENTS_WRITE}), frozenset({"SH01"}))
    assert bound.has(Scope.EVENTS_WRITE)
    assert bound.may("SH01")
    assert not bound.may("SH02")
    bound.require([Scope.EVENTS_WRITE], "SH01")
    bound.require([Scope.EVENTS_WRITE])
    with pytest.raises(ForbiddenError, match="stores:read"):
        bound.require([Scope.STORES_READ, Scope.EVENTS_WRITE])
    with pytest.raises(ForbiddenError, match="SH02"):
        bound.require([Scope.EVENTS_WRITE], "SH02")


def test_an_unbound_principal_may_in_every_store() -> None:
    assert Principal("1", "all", ALL_SCOPES).may("any")


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.255.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:192.0.2.1", False),
        ("192.0.2.1", False),
        ("0.0.0.0", False),
        ("fe80::1%eth0", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_loopback_addresses(address: str, *, loopback: bool) -> None:
    assert is_loopback(address) is loopback


@pytest.mark.parametrize(
    "peer",
    [
        Peer("127.0.0.1", "localhost"),
        Peer("127.0.0.1", "127.0.0.1:8000"),
        Peer("::1", "[::1]:8000"),
        Peer("::ffff:127.0.0.1", "LOCALHOST:8000", "http://127.0.0.1:3000"),
    ],
)
def test_requests_of_this_machine(peer: Peer) -> None:
    assert peer.is_local


@pytest.mark.parametrize(
    "peer",
    [
        Peer(None, "localhost"),
        Peer("192.0.2.1", "localhost"),
        Peer("127.0.0.1", None),
        Peer("127.0.0.1", ""),
        Peer("127.0.0.1", "rebound.example"),
        Peer("127.0.0.1", "127.0.0.1.example"),
        Peer("127.0.0.1", "localhost@rebound.example"),
        Peer("127.0.0.1", "[::1"),
        Peer("127.0.0.1", "localhost", "https://page.example"),
        Peer("127.0.0.1", "localhost", "null"),
        Peer("127.0.0.1", "localhost", forwarded=True),
    ],
)
def test_requests_that_only_look_like_it(peer: Peer) -> None:
    assert not peer.is_local


def test_personal_fields_are_masked_element_by_element() -> None:
    assert masked(PLAIN) == {
        "name": MASK,
        "phones": [MASK, MASK],
        "contact": {"phone": MASK},
        "email": None,
    }


def test_only_personal_read_sees_them() -> None:
    reader = Principal("1", "desk", frozenset({Scope.PERSONAL_READ}))
    other = Principal("2", "kpi", ALL_SCOPES - {Scope.PERSONAL_READ})
    assert personal_for(reader, PLAIN) == PLAIN
    assert personal_for(other, PLAIN) == masked(PLAIN)
