"""Near misses of what the catalogue knows by name: event types, choices, pay types, stores."""

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, Literal, get_args, get_origin

from app.domain.events.catalog import Catalog
from app.domain.events.payload import Part
from app.domain.suggestions.spelling import clean

PAY_TYPES: Final = ("CUSTOMER_PAY", "WARRANTY", "INTERNAL")
"""STAR pay types; others are taken as they are."""

_CLOSE: Final = 0.8
"""How alike (0 to 1) two words are of which one may be a slip of the other."""

_CHINESE: Final[Mapping[str, Collection[str]]] = {
    "常规保养": ("regular_maintenance",),
    "定期保养": ("regular_maintenance",),
    "保养": ("regular_maintenance",),
    "首保": ("first_maintenance",),
    "首次保养": ("first_maintenance",),
    "一般维修": ("ordinary_repair",),
    "普通维修": ("ordinary_repair",),
    "机电维修": ("ordinary_repair",),
    "事故": ("accident",),
    "事故车": ("accident",),
    "事故维修": ("accident",),
    "钣喷": ("accident",),
    "保修": ("warranty", "WARRANTY"),
    "索赔": ("warranty", "WARRANTY"),
    "三包": ("warranty", "WARRANTY"),
    "自费": ("CUSTOMER_PAY",),
    "客户付费": ("CUSTOMER_PAY",),
    "客户自费": ("CUSTOMER_PAY",),
    "内部": ("INTERNAL",),
    "内部结算": ("INTERNAL",),
    "其他": ("other",),
    "其它": ("other",),
    "电话": ("phone",),
    "短信": ("sms",),
    "微信": ("wechat",),
    "邮件": ("email",),
    "电子邮件": ("email",),
    "信函": ("letter",),
    "到店": ("visit",),
    "上门": ("visit",),
    "在线": ("online",),
    "网络": ("online",),
    "第三方": ("third_party",),
    "待料": ("awaiting_parts",),
    "待批": ("awaiting_approval",),
    "待工位": ("awaiting_bay",),
    "外包": ("sublet",),
    "增项": ("add_on",),
    "客户要求": ("customer_request",),
    "缺件": ("parts_delay",),
    "态度": ("attitude",),
    "质量": ("quality",),
    "时间": ("time",),
    "价格": ("price",),
    "配件": ("parts",),
    "设施": ("facilities",),
    "预约": ("appointment",),
    "一般": ("normal",),
    "普通": ("normal",),
    "重要": ("important",),
    "施工质量": ("workmanship",),
    "诊断": ("diagnosis",),
    "配件质量": ("part_defect",),
    "非返修": ("not_rework",),
    "个人": ("private",),
    "私人": ("private",),
    "公司": ("company",),
    "单位": ("company",),
    "接通": ("reached",),
    "成功": ("reached",),
    "无人接听": ("no_answer",),
    "占线": ("busy",),
    "空号": ("wrong_number",),
    "拒接": ("refused",),
    "稍后再拨": ("call_later",),
}
"""What shops write -> values that it stands for, in whichever choice has one of them."""


def nearest(value: object, known: Iterable[str]) -> str | None:
    """Find the one known word that a value is a spelling, a translation or a slip of.

    None where it is known already, or where more than one may be meant.
    """
    words = tuple(known)
    if not isinstance(value, str) or value in words:
        return None
    text = clean(value)
    translated = [word for word in _CHINESE.get(text, ()) if word in words]
    if translated:
        return _only(translated)
    by_letters: dict[str, list[str]] = {}
    for word in words:
        by_letters.setdefault(_letters(word), []).append(word)
    letters = _letters(text)
    if not letters:
        return None
    if letters in by_letters:
        return _only(by_letters[letters])
    close = get_close_matches(letters, by_letters, n=2, cutoff=_CLOSE)
    return _only(by_letters[close[0]]) if len(close) == 1 else None


def nearest_type(value: object, catalog: Catalog) -> str | None:
    """Find the type that a name is a spelling of; the closest of several that may be meant."""
    if not isinstance(value, str):
        return None
    by_letters = {_letters(name): name for name, known in catalog.items() if known.posted}
    letters = _letters(clean(value))
    if letters in by_letters:
        return by_letters[letters]
    close = get_close_matches(letters, by_letters, n=1, cutoff=_CLOSE)
    return by_letters[close[0]] if close else None


def nearest_store(value: object, stores: Collection[str]) -> str | None:
    """Find the store whose code differs in case, width or space alone."""
    if not isinstance(value, str):
        return None
    text = re.sub(r"\s", "", clean(value))
    if text in stores:
        return text
    return _only([code for code in stores if code.casefold() == text.casefold()])


def choices_at(model: type[Part], tokens: Iterable[str]) -> tuple[str, ...]:
    """Return the values that a field may have, () if it is no choice.

    Args:
        model: Of the data.
        tokens: Where the field lies, from the data on; indexes of lists are passed over.
    """
    annotation: Any = model
    for token in tokens:
        if token.isdigit():
            continue
        part = _part_in(annotation)
        if part is None:
            return ()
        found = next(
            (
                field.annotation
                for name, field in part.model_fields.items()
                if (field.alias or name) == token
            ),
            None,
        )
        if found is None:
            return ()
        annotation = found
    return tuple(_literals(annotation))


def _letters(word: str) -> str:
    return re.sub(r"[\W_]", "", word.casefold())


def _only(words: Collection[str]) -> str | None:
    return next(iter(words)) if len(words) == 1 else None


def _part_in(annotation: Any) -> type[Part] | None:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    for argument in get_args(annotation):
        if (part := _part_in(argument)) is not None:
            return part
    return None


def _literals(annotation: Any) -> Iterable[str]:
    if get_origin(annotation) is Literal:
        yield from (value for value in get_args(annotation) if isinstance(value, str))
        return
    for argument in get_args(annotation):
        yield from _literals(argument)
