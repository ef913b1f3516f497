"""What is wrong with a cell, or odd, in Chinese, for those in the shop who correct the sheet.

The details of faults are English, as all of the interface; what a shop gets back says both.
"""

from collections.abc import Mapping
from typing import Final

IN_CHINESE: Final[Mapping[str, str]] = {
    "bad-unicode": "含有无法识别的字符，请重新输入。",
    "bad-format": "格式不正确。",
    "bad-value": "内容不正确。",
    "counted-as-other": "不在已知范围内，按“其他”计。",
    "differs-in-group": "同一工单的各行内容不一致，取第一行。",
    "digits-lost": "数字过长，末尾几位已丢失，请把该列设为文本后重新导出。",
    "ended-before-opened": "结算或交车时间早于开单时间，请检查。",
    "error-cell": "公式没有结果，请改正公式，或打开文件重新保存。",
    "identity-conflict": "同一编号已有不同内容。",
    "missing": "必填，不能为空。",
    "missing-link": "客户编号和车架号至少填一项。",
    "negative": "不能为负数。",
    "no-time-of-day": "只有日期，没有时间，按零点计。",
    "not-a-boolean": "请填“是”或“否”。",
    "not-a-date": "不是日期，请写成 2026-01-31。",
    "not-a-flag": "请填“是”或“否”。",
    "not-a-number": "不是数字，请只填数字。",
    "not-a-time": "不是日期或时间，请写成 2026-01-31 17:00。",
    "not-an-instant": "不是日期或时间，请写成 2026-01-31 17:00。",
    "not-one-of": "不在可选范围内。",
    "not-text": "应为文字。",
    "not-whole": "应为整数。",
    "nul-character": "含有无法识别的字符，请重新输入。",
    "out-of-range": "超出允许范围，请检查。",
    "promised-before-opened": "承诺交车时间早于开单时间，请检查。",
    "dealt-with-in-quarantine": "仍有错误，但已在隔离区处理，无需再改；最好在来源系统中更正。",
    "time-in-future": "时间在未来，请检查。",
    "too-long": "内容过长。",
    "too-short": "内容不能为空。",
    "unknown-store": "没有这个门店。",
    "unreadable-row": "该行格式有误：单元格数与表头不符，或不是有效的数据，请检查该行。",
    "unmatched-value": "字段映射中没有这个值，请改正，或请信息员补充映射。",
}
"""Code of a fault -> what is wrong, and where it is plain, what to write instead."""


def in_both_languages(code: str, detail: str) -> str:
    """Say a fault in Chinese and English; in English alone where the code has no words here."""
    return f"{IN_CHINESE.get(code, '')} {detail}".lstrip()
