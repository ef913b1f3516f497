"""Texts as one parameter: asyncpg looks at each element of a list in Python, twice."""

from collections.abc import Sequence


def array_text(texts: Sequence[str]) -> str:
    """Write texts as the literal of a PostgreSQL array, for a parameter `$n::text::text[]`.

    Args:
        texts: Without NUL, which PostgreSQL can't hold.
    """
    if not texts:
        return "{}"
    joined = "\0".join(texts)
    if '"' in joined or "\\" in joined:
        joined = joined.replace("\\", "\\\\").replace('"', '\\"')
    return '{"' + joined.replace("\0", '","') + '"}'
