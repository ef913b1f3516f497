"""Bodies of the routes about names in the place of staff numbers."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from app.domain.access import Principal
from app.domain.events.names import MAX_ALIAS, SURROGATE_PATTERN
from app.routers.schemas.desk import Version, masked_or_plain
from app.services.names import AliasGiven, UnresolvedName

Surrogate = Annotated[str, Field(description="What the log has in place of the name 姓名代号")]


class UnresolvedNameOut(BaseModel):
    """A name that stands for nobody, or for several 未识别姓名."""

    surrogate: Surrogate
    text: Annotated[
        str | None,
        Field(
            description="The name as it was sent; masked without personal:read; null where it is "
            "erased 原文"
        ),
    ]
    roles: Annotated[
        list[str], Field(description="As what it is named: advisor, technician, ... 角色")
    ]
    subjects: Annotated[
        int, Field(description="How many orders, follow-ups and complaints name it 涉及数量")
    ]
    first_seen_at: Annotated[datetime, Field(description="The first time 最早出现")]
    last_seen_at: Annotated[datetime, Field(description="The last time 最近出现")]
    candidates: Annotated[
        list[str],
        Field(
            description="Staff numbers of those who share the name, two at least; empty: nobody "
            "is known by it 同名员工"
        ),
    ]

    @classmethod
    def of(cls, named: UnresolvedName, principal: Principal) -> Self:
        """Show a name to a caller."""
        return cls(
            surrogate=named.surrogate,
            text=masked_or_plain(named.text, principal),
            roles=named.roles,
            subjects=named.subjects,
            first_seen_at=named.first_seen_at,
            last_seen_at=named.last_seen_at,
            candidates=named.candidates,
        )


class AliasIn(BaseModel):
    """One of the two: the name as exports spell it, or what stands for it in the work list."""

    model_config = ConfigDict(extra="forbid")

    alias: Annotated[
        str | None,
        Field(min_length=1, max_length=MAX_ALIAS, description="As exports spell the name 别名"),
    ] = None
    surrogate: Annotated[
        str | None,
        Field(pattern=SURROGATE_PATTERN, description="From the list of unresolved names 姓名代号"),
    ] = None


class GivenEventOut(BaseModel):
    """The registration; `event.retracted` takes it back."""

    source: str
    id: str


class AliasOut(BaseModel):
    """Whose name it is now 别名."""

    staff_no: Annotated[str, Field(description="工号")]
    surrogate: Surrogate
    event: Annotated[
        GivenEventOut | None, Field(description="Null: it was theirs already 登记事件")
    ]
    version: Version

    @classmethod
    def of(cls, given: AliasGiven) -> Self:
        """Show what came of it."""
        event = given.event
        return cls(
            staff_no=given.staff_no,
            surrogate=given.surrogate,
            event=None if event is None else GivenEventOut(source=event.source, id=event.id),
            version=str(given.version),
        )
