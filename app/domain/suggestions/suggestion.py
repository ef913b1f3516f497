"""What a suggestion is, the ones that there are, and what the rules may look at."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from app.domain.events.catalog import CATALOG, Catalog
from app.domain.events.envelope import NewEvent, Rejected

Operation = Mapping[str, Any]
"""One operation of a JSON Patch (RFC 6902)."""

Reads = Callable[[Any], NewEvent | Rejected]
"""Reads an event as the door does."""


class SuggestedAction(StrEnum):
    """What following a suggestion comes to."""

    REPLAY = "replay"
    DISCARD = "discard"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True)
class Words:
    """What is suggested, in both languages."""

    en: str
    zh: str


class SuggestionName(StrEnum):
    """The names of suggestions; stable, as runs over many items ask for them by name."""

    ADD_SPECVERSION = "add-specversion"
    NUMBER_AS_TEXT = "number-as-text"
    TRIM_TEXT = "trim-text"
    NEAREST_TYPE = "nearest-type"
    KNOWN_STORE_CODE = "known-store-code"
    READ_DATA_TEXT = "read-data-text"
    DROP_EMPTY = "drop-empty"
    ADD_STORE_OFFSET = "add-store-offset"
    SPELL_TIME = "spell-time"
    DAY_START = "day-start"
    DAY_END = "day-end"
    SPELL_DATE = "spell-date"
    PLAIN_NUMBER = "plain-number"
    READ_YES_NO = "read-yes-no"
    NEAREST_CHOICE = "nearest-choice"
    WRAP_LIST = "wrap-list"
    READ_AS_STORE_TIME = "read-as-store-time"
    REPLAY_NOW = "replay-now"
    KEEP_AS_CORRECTION = "keep-as-correction"
    ALL = "all"
    DISCARD_TRIVIAL = "discard-trivial"
    MAKE_STORE = "make-store"
    BIND_KEY = "bind-key"
    WAIT_FOR_TIME = "wait-for-time"
    WAIT_FOR_TARGET = "wait-for-target"
    WAIT_FOR_UPGRADE = "wait-for-upgrade"
    MEND_MAPPING = "mend-mapping"


WORDS: Final[Mapping[SuggestionName, Words]] = {
    SuggestionName.ADD_SPECVERSION: Words(
        'Say that it is CloudEvents 1.0: specversion "1.0".', '补上 specversion "1.0"。'
    ),
    SuggestionName.NUMBER_AS_TEXT: Words(
        "Write the number as text, as this field wants it.", "将数字改写为文本。"
    ),
    SuggestionName.TRIM_TEXT: Words(
        "Leave out spaces around the text and write it in plain (half-width) characters.",
        "去掉首尾空格并改为半角字符。",
    ),
    SuggestionName.NEAREST_TYPE: Words(
        "Take the event type of the catalogue that is spelled most like it.",
        "改为目录中拼写最接近的事件类型。",
    ),
    SuggestionName.KNOWN_STORE_CODE: Words(
        "Take the store whose code differs in case or spaces alone.",
        "改为仅大小写或空格不同的现有门店编号。",
    ),
    SuggestionName.READ_DATA_TEXT: Words(
        "Read the data, which was sent as a text, as the JSON object that it holds.",
        "将以文本形式发送的 data 解析为 JSON 对象。",
    ),
    SuggestionName.DROP_EMPTY: Words(
        "Leave out fields that are empty: nothing is known there.", "去掉内容为空的可选字段。"
    ),
    SuggestionName.ADD_STORE_OFFSET: Words(
        "Take times without an offset as times of the store's zone.",
        "将没有时区偏移的时间按门店时区理解。",
    ),
    SuggestionName.SPELL_TIME: Words(
        "Write the same time as RFC 3339 wants it.", "按 RFC 3339 改写同一时间。"
    ),
    SuggestionName.DAY_START: Words(
        "Take the day as its first instant in the store's zone.",
        "将日期视为门店时区当日零点。",
    ),
    SuggestionName.DAY_END: Words(
        "Take the day as its last second in the store's zone: a promise for a day holds to its "
        "end.",
        "将日期视为门店时区当日最后一秒（按天承诺，以当日结束为限）。",
    ),
    SuggestionName.SPELL_DATE: Words(
        "Write the day as ISO 8601 wants it.", "按 ISO 8601 改写日期。"
    ),
    SuggestionName.PLAIN_NUMBER: Words(
        "Write the number without separators, currency and unit (万 is ten thousand).",
        "去掉千位分隔符、币种和单位（“万”按一万计）。",
    ),
    SuggestionName.READ_YES_NO: Words(
        "Read 是/否, yes/no, 1/0 as true and false.", "将“是/否”“1/0”等改为 true/false。"
    ),
    SuggestionName.NEAREST_CHOICE: Words(
        "Take the known value that is spelled most like it, or that is its translation.",
        "改为拼写最接近或含义对应的已知取值。",
    ),
    SuggestionName.WRAP_LIST: Words(
        "Take the single value as a list of one.", "将单个值改为只有一个元素的列表。"
    ),
    SuggestionName.READ_AS_STORE_TIME: Words(
        "Take the time as the store's local time: it was most likely marked as UTC by mistake.",
        "按门店当地时间理解：该时间很可能被误标为 UTC。",
    ),
    SuggestionName.REPLAY_NOW: Words(
        "Nothing is wrong with it any more: replay it as it is.", "已无问题：可原样重放。"
    ),
    SuggestionName.KEEP_AS_CORRECTION: Words(
        "Keep it as a correction: retract the event in the log, and let this one enter under a "
        "new id.",
        "作为更正保留：撤回日志中的旧事件，本事件以新编号入库。",
    ),
    SuggestionName.ALL: Words(
        "Everything that the rules can mend, one after the other.", "逐一应用全部可行的更正。"
    ),
    SuggestionName.DISCARD_TRIVIAL: Words(
        "Discard it: it says the same as the event in the log but for case, spaces or empty "
        "fields.",
        "丢弃：与日志中的事件相比，仅大小写、空格或空字段不同。",
    ),
    SuggestionName.MAKE_STORE: Words(
        "Make the store (PUT /v1/stores/{store_id}); its events then enter by themselves, if the "
        "keys that sent them may write to it.",
        "建立该门店（PUT /v1/stores/{store_id}）；发送方密钥有权写入的事件随后自动入库。",
    ),
    SuggestionName.BIND_KEY: Words(
        "The key that sent it is not bound to this store. If it should be, issue one that is, "
        "and replay the item.",
        "发送方的密钥未绑定该门店。如应绑定，请签发新的密钥后重放。",
    ),
    SuggestionName.WAIT_FOR_TIME: Words(
        "Wait until its time has come, then replay it; if its time is wrong, look at the clock of "
        "the system that sent it.",
        "到该时间后再重放；如时间有误，请检查发送系统的时钟。",
    ),
    SuggestionName.WAIT_FOR_TARGET: Words(
        "It enters by itself when the event that it retracts comes. If that never comes, look at "
        "the source and id that it names.",
        "被撤回的事件到达后会自动入库；如一直未到，请检查其来源和编号。",
    ),
    SuggestionName.WAIT_FOR_UPGRADE: Words(
        "This version of the service does not know it. Replay it after an upgrade, or correct the "
        "type.",
        "当前版本不支持。升级后重放，或更正类型。",
    ),
    SuggestionName.MEND_MAPPING: Words(
        "It is a row of a sheet that the mapping could not read: mend the mapping and replay it, "
        "or correct its cells with a patch.",
        "这是映射无法读取的表格行：修正映射后重放，或用补丁更正单元格。",
    ),
}
"""The words of each suggestion."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Something that can be done with an item.

    Attributes:
        patch: What it changes in the event (RFC 6902); empty if nothing.
        first: Events that enter before it, each in structured form.
        settles: Whether nothing is known to be wrong with the event afterwards.
    """

    name: SuggestionName
    action: SuggestedAction
    patch: tuple[Operation, ...] = ()
    first: tuple[Mapping[str, Any], ...] = ()
    settles: bool = False

    @property
    def words(self) -> Words:
        """What is suggested, in both languages."""
        return WORDS[self.name]


@dataclass(frozen=True, slots=True)
class Logged:
    """The event of the log whose identity an item claims.

    Attributes:
        data: Both sides of it, personal fields too.
    """

    type: str
    subject: str
    occurred_at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Context:
    """What the rules may look at besides the event.

    Attributes:
        reads: The door, with the stores that are known.
        zones: Of the stores that the event may belong to, by code.
        now: The service's time.
        stores: Codes that a wrong one may be a slip of.
        logged: Of an identity conflict.
    """

    reads: Reads
    zones: Mapping[str, ZoneInfo]
    now: datetime
    stores: Collection[str] = ()
    logged: Logged | None = None
    catalog: Catalog = field(default_factory=lambda: CATALOG)
