"""Texts as one parameter: asyncpg looks at each element of a list in Python, twice."""

from collections.abc import Sequence

import asyncpg


def array_text(texts: Sequence[str]) -> str:
    """Write texts as the literal of a PostgreSQL array, for a parameter `$n::text::text[]`.

    Raises:
        asyncpg.CharacterNotInRepertoireError: A text holds NUL, as the server itself would say;
            it would be taken for two texts, and all behind it for one another's.
    """
    if not texts:
        return "{}"
    joined = "\0".join(texts)
    if joined.count("\0") >= len(texts):
        raise asyncpg.CharacterNotInRepertoireError("a text holds NUL")
    if '"' in joined or "\\" in joined:
        joined = joined.replace("\\", "\\\\").replace('"', '\\"')
    return '{"' + joined.replace("\0", '","') + '"}'
