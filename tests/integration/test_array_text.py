"""Arrays that are written as text come out as they went in."""

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db.array_text import array_text
from app.db.engine import Connection

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
ODD = st.sampled_from(["", "NULL", "null", '"', "\\", "{", "}", ",", " ", '\\"', "\n", "张三"])


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.lists(TEXTS | ODD, max_size=6))
async def test_any_texts_come_out_as_they_went_in(
    connection: Connection, texts: list[str]
) -> None:
    assert await connection.fetchval("SELECT $1::text::text[]", array_text(texts)) == texts


async def test_a_text_that_is_not_kept_is_refused_and_moves_no_other_one() -> None:
    for texts in (["\0"], ["a", "b\0"], ["a\0b", "c"]):
        with pytest.raises(asyncpg.CharacterNotInRepertoireError):
            array_text(texts)
