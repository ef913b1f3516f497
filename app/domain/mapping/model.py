"""What a mapping may say: the form of its YAML, checked before any row is read."""

import re
from collections.abc import Iterator
from datetime import datetime, time
from typing import Annotated, Any, Final, Self
from zoneinfo import available_timezones

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.domain.events.shape import storable
from app.domain.events.value_maps import Scalar, Unmatched, ValueMap
from app.domain.mapping.numbers import UNITS
from app.domain.mapping.targets import Kind

MAX_SOURCE: Final = 200
_PLACEHOLDER: Final = re.compile(r"\{([^{}]+)\}")


def placeholders(template: str) -> list[str]:
    """Return the columns that a template names: `{工单号}-{行号}`."""
    return _PLACEHOLDER.findall(template)


def fill(template: str, value_of: Any) -> str:
    """Put a value in the place of each column of a template."""
    return _PLACEHOLDER.sub(lambda match: value_of(match[1]), template)


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str | bool | int | float) else value


def _is_path(text: str) -> str:
    try:
        jmespath.compile(text)
    except JMESPathError as error:
        raise ValueError(f"is no JMESPath: {str(error).splitlines()[0]}") from None
    return text


def _is_regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return text


def _is_storable(text: str) -> str:
    if not storable(text):
        raise ValueError("has a character that can't be stored")
    return text


def _is_zone(text: str) -> str:
    if text not in available_timezones():
        raise ValueError("is no time zone of the IANA database, such as Asia/Shanghai")
    return text


def _is_unit(text: str) -> str:
    if text not in UNITS:
        raise ValueError(f"is no unit that is known; these are: {', '.join(UNITS)}")
    return text


def _is_format(text: str) -> str:
    try:
        written = datetime(2026, 1, 31, 17, 30).strftime(text)  # noqa: DTZ001 - a try-out
        datetime.strptime(written, text)  # noqa: DTZ007 - likewise
    except ValueError as error:
        raise ValueError(f"is no format of dates, such as %Y/%m/%d %H:%M ({error})") from None
    return text


def _is_time(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"(?:[01]?\d|2[0-3]):[0-5]\d", value):
        hour, minute = value.split(":")
        return time(int(hour), int(minute))
    raise ValueError("must be a time of day in quotes or plain, such as 17:30")


Names = Annotated[list[str], BeforeValidator(_one_or_more), Field(min_length=1)]
Texts = Annotated[list[Scalar], BeforeValidator(_one_or_more), Field(min_length=1)]
Rest = Annotated[Unmatched, BeforeValidator(lambda value: "null" if value is None else value)]
Values = Annotated[dict[str, Scalar], Field(min_length=1)]
Path = Annotated[str, AfterValidator(_is_path)]
Regex = Annotated[str, AfterValidator(_is_regex)]
Zone = Annotated[str, AfterValidator(_is_zone)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True)


class ConditionModel(_Strict):
    """What a row must be like: `{column: 状态, is: 作废}`; a column alone: it has a value."""

    column: Names | None = None
    path: Path | None = None
    equals: Annotated[Texts | None, Field(alias="is")] = None
    matches: Regex | None = None
    empty: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"column": value, "empty": False} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.column is None) == (self.path is None):
            raise ValueError("needs either a column or a path")
        if sum(test is not None for test in (self.equals, self.matches, self.empty)) != 1:
            raise ValueError("needs one of: is, matches, empty")
        return self


Conditions = Annotated[
    list[ConditionModel],
    BeforeValidator(lambda value: [value] if isinstance(value, str | dict) else value),
]


class FieldModel(_Strict):
    """Where a field's value comes from, and how it is read. A text alone is a column."""

    column: Names | None = None
    columns: Annotated[list[str], Field(min_length=2)] | None = None
    path: Path | None = None
    template: str | None = None
    value: Any = None
    each: dict[str, "FieldModel"] | None = None
    values: Values | None = None
    unmatched: Rest = "keep"
    format: Annotated[
        list[Annotated[str, AfterValidator(_is_format)]], BeforeValidator(_one_or_more)
    ] = []
    at: Annotated[time | None, BeforeValidator(_is_time)] = None
    epoch: Annotated[int, Field(description="1904 for old Mac workbooks")] = 1900
    unit: Annotated[str, AfterValidator(_is_unit)] | None = None
    decimal: Annotated[str, Field(pattern=r"^[.,]$")] = "."
    split: Annotated[str, Field(min_length=1)] | None = None
    default: Any = None
    required: bool = False
    sum: bool = False
    type: Kind | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_one_origin(self) -> Self:
        origins = ("column", "columns", "path", "template", "value")
        given = [name for name in origins if getattr(self, name) is not None]
        if len(given) > 1 or not (given or self.each):
            raise ValueError(f"needs one of: {', '.join(origins)}" + (", each" * (not given)))
        if self.each and given and given != ["path"]:
            raise ValueError("has `each`, which goes with a path or with the rows of a group")
        if self.epoch not in {1900, 1904}:
            raise ValueError("has an epoch that is neither 1900 nor 1904")
        return self

    @property
    def value_map(self) -> ValueMap | None:
        """What its coded values mean."""
        return None if self.values is None else ValueMap(self.values, self.unmatched)

    def names(self) -> Iterator[str]:
        """Yield every column that it may be read from."""
        yield from self.column or ()
        yield from self.columns or ()
        yield from placeholders(self.template or "")
        for inner in (self.each or {}).values():
            if self.path is None:
                yield from inner.names()

    def walk(self, name: str) -> Iterator[tuple[str, "FieldModel"]]:
        """Yield the field with its path, then those of the elements of a list."""
        yield name, self
        for key, inner in (self.each or {}).items():
            yield from inner.walk(f"{name}.{key}")


class EmissionModel(_Strict):
    """One event that is made of a row."""

    type: str
    subject: FieldModel
    time: FieldModel
    id: str | None = None
    when: Conditions = []
    fields: dict[str, FieldModel] = {}

    @model_validator(mode="before")
    @classmethod
    def _time_of_file(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("time") == "file":
            return {**value, "time": {"value": "file"}}
        return value


class ValuesModel(_Strict):
    """The value map of a field of the source's JSON events, where no column has one."""

    values: Values
    unmatched: Rest = "keep"

    @model_validator(mode="before")
    @classmethod
    def _from_map(cls, value: Any) -> Any:
        if isinstance(value, dict) and not isinstance(value.get("values"), dict):
            return {"values": value}
        return value


class MappingModel(_Strict):
    """A whole mapping."""

    source: Annotated[
        str, Field(min_length=1, max_length=MAX_SOURCE), AfterValidator(_is_storable)
    ]
    version: Annotated[int, Field(ge=1, le=10**6, strict=True)]
    title: Annotated[str, Field(max_length=200), AfterValidator(_is_storable)] = ""
    store: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")] | None = None
    zone: Zone | None = None
    sheet: str | None = None
    header_row: Annotated[int, Field(ge=1)] | None = None
    group_by: Names | None = None
    skip_when: Conditions = []
    emits: list[EmissionModel] = []
    values: dict[str, ValuesModel] = {}

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.emits and not self.values:
            raise ValueError("needs `emits` (events from rows) or `values` (value maps)")
        if self.source.startswith("/servicelane"):
            raise ValueError("has the source /servicelane, which is the service's own")
        return self
