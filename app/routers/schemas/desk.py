"""Parts that the bodies of several desk routes share."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, PlainSerializer

from app.domain.access import MASK, Principal, Scope, personal_for
from app.domain.kpis.kpi import Words

DecimalText = Annotated[
    Decimal,
    PlainSerializer(lambda value: format(value, "f"), return_type=str),
    Field(description="Decimal as text"),
]
Seq = Annotated[str, Field(description="Position in the store's stream, decimal text")]
Version = Annotated[
    str, Field(description="seq of the last event that touched it; goes into `If-Match` 版本")
]

_NO_FIELDS: Final[Mapping[str, Any]] = {}


class WordsOut(BaseModel):
    """A sentence in two languages."""

    en: str
    zh: str

    @classmethod
    def of(cls, words: Words) -> "WordsOut":
        """Show words."""
        return cls(en=words.en, zh=words.zh)


def shown(fields: Mapping[str, Any] | None, principal: Principal) -> Mapping[str, Any]:
    """Give personal fields as the caller may see them."""
    return personal_for(principal, fields or _NO_FIELDS)


def masked_or_plain(value: str | None, principal: Principal) -> str | None:
    """Give one personal text as the caller may see it."""
    if value is None or principal.has(Scope.PERSONAL_READ):
        return value
    return MASK


def Member(what: str) -> Any:  # noqa: N802 - reads as the Field that it makes
    """Describe a field that names a member of staff."""
    return Field(description=f"{what}: staff number, or `~...` of a name that nobody knows yet")


MemberName: Final[Any] = Field(
    description="The name, as registered or as it was sent; masked without personal:read; null "
    "where none is known and in the answer of a command 姓名"
)


def name_of(member: str | None, names: Mapping[str, str], principal: Principal) -> str | None:
    """Give the name of a member of staff as the caller may see it."""
    return masked_or_plain(names.get(member or ""), principal)


class OccurredAt(BaseModel):
    """When something happened that staff enter here."""

    occurred_at: Annotated[
        datetime | None,
        Field(description="RFC 3339 with offset; absent: now 发生时间"),
    ] = None
