"""Bodies of the store routes."""

import re
from datetime import datetime
from typing import Annotated, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.domain.stores import Store

_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def _is_time_zone(name: str) -> str:
    if name not in available_timezones():
        message = "no time zone of the IANA database has this name, such as Asia/Shanghai"
        raise ValueError(message)
    return name


def _is_locale(tag: str) -> str:
    if not _LOCALE.fullmatch(tag):
        message = "not a language tag, such as zh-CN"
        raise ValueError(message)
    return tag


class StoreIn(BaseModel):
    """What a group says of a store."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200, description="Name 门店名称")]
    time_zone: Annotated[
        str,
        AfterValidator(_is_time_zone),
        Field(description="IANA name; days, deadlines and periods are cut there 时区"),
    ] = "Asia/Shanghai"
    currency: Annotated[
        str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code of all amounts 币种")
    ] = "CNY"
    locale: Annotated[
        str, AfterValidator(_is_locale), Field(description="Language tag (BCP 47) 语言")
    ] = "zh-CN"


class StoreOut(BaseModel):
    """A store."""

    store_id: Annotated[str, Field(description="Code 门店编号")]
    name: Annotated[str, Field(description="Name 门店名称")]
    time_zone: Annotated[str, Field(description="IANA name 时区")]
    currency: Annotated[str, Field(description="ISO 4217 币种")]
    locale: Annotated[str, Field(description="Language tag 语言")]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, store: Store) -> Self:
        """Show a store."""
        return cls(
            store_id=store.store_id,
            name=store.name,
            time_zone=store.zone.key,
            currency=store.currency,
            locale=store.locale,
            created_at=store.created_at,
            updated_at=store.updated_at,
        )
