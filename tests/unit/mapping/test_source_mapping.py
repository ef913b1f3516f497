"""From rows to events, by what a mapping says."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.cells import Row
from app.domain.errors import InvalidInputError
from app.domain.mapping.loading import read_mapping
from app.domain.mapping.source_mapping import Context, MappedRow, SourceMapping

CONTEXT = Context(
    "S1", ZoneInfo("Asia/Shanghai"), datetime(2026, 1, 7, 1, 0, tzinfo=UTC), secret=b"secret"
)


def mapping(fields: str, *, kind: str = "repair_order.opened", head: str = "") -> SourceMapping:
    lines = "\n".join("      " + line for line in fields.strip().splitlines())
    return read_mapping(
        f"""source: /dms/test
version: 1
{head}
emits:
  - type: {kind}
    subject: RO
    time: {{column: at, default: file}}
    fields:
{lines}
"""
    )


def read(found: SourceMapping, *rows: dict[str, Any]) -> list[MappedRow]:
    numbered = (Row(number, {"RO": "R1", **cells}) for number, cells in enumerate(rows, 2))
    return list(found.read_all(numbered, context=CONTEXT))


def data(found: SourceMapping, *rows: dict[str, Any]) -> dict[str, Any]:
    (row,) = read(found, *rows)
    assert not row.faults
    (event,) = row.events
    inner: dict[str, Any] = event["data"]
    return inner


def faults(found: SourceMapping, *rows: dict[str, Any]) -> list[tuple[int, str, str]]:
    (row,) = read(found, *rows)
    assert not row.events
    return [(fault.row, fault.column, fault.code) for fault in row.faults]


def test_an_event_of_a_row() -> None:
    (row,) = read(mapping("advisor: 顾问"), {"顾问": " A07\u3000", "at": "2026/1/5 9:30"})
    (event,) = row.events
    assert event.pop("id").startswith("repair_order.opened/R1/")
    assert event == {
        "specversion": "1.0",
        "source": "/dms/test",
        "type": "repair_order.opened",
        "store": "S1",
        "subject": "R1",
        "time": "2026-01-05T09:30:00+08:00",
        "datacontenttype": "application/json",
        "data": {"advisor": "A07"},
    }


def test_each_kind_of_field() -> None:
    found = mapping(
        """
advisor: {column: [SA, 服务顾问]}
work_type: {column: 类型, values: {保养: regular_maintenance}}
waiter: 等候
odometer_km: {column: 里程, unit: 千公里}
estimate_amount: 估价
concerns: {column: 描述, split: "、;"}
promised_at: {columns: [预交日期, 预交时间]}
contact.name: 送修人
appointment_id: {template: "{门店}-{预约}"}
pay_type: {value: CUSTOMER_PAY}
vin: {path: '"车".vin'}
"""
    )
    assert data(
        found,
        {
            "服务顾问 ": 7.0,
            "类型": "保 养",
            "等候": "√",
            "里程": "42.01",
            "估价": "￥860.00",
            "描述": "异响、抖动；漏油、异响",
            "预交日期": "2026年1月5日",
            "预交时间": "17:00",
            "送修人": "客户",
            "门店": "A",
            "预约": 12.0,
            "车": {"vin": "V1"},
        },
    ) == {
        "advisor": "7",
        "work_type": "regular_maintenance",
        "waiter": True,
        "odometer_km": "42010",
        "estimate_amount": "860",
        "concerns": ["异响", "抖动", "漏油"],
        "promised_at": "2026-01-05T17:00:00+08:00",
        "contact": {"name": "客户"},
        "appointment_id": "A-12",
        "pay_type": "CUSTOMER_PAY",
        "vin": "V1",
    }


def test_the_rarer_kinds() -> None:
    found = mapping(
        """
parts_requested: 项数
jobs: {path: ops}
checked_on: {column: 日, type: date}
grade: {column: 级, type: any}
wishes: {column: 愿望, type: texts, split: "/", values: {洗车: wash, 无: null}}
tags: {path: tags, type: texts}
note: {columns: [备注, 说明], type: text}
waits: {column: 等, type: flag, values: {稍等: true}}
""",
        kind="repair_order.settled",
    )
    assert data(
        found,
        {
            "项数": "4项",
            "ops": [{"code": "1"}],
            "日": "2026/1/5 9:30",
            "级": 4.50,
            "愿望": "洗车/无/代步",
            "tags": ["a", " b"],
            "备注": "轮胎",
            "说明": "已换",
            "等": "稍 等",
        },
    ) == {
        "parts_requested": 4,
        "jobs": [{"code": "1"}],
        "checked_on": "2026-01-05",
        "grade": "4.5",
        "wishes": ["wash", "代步"],
        "tags": ["a", "b"],
        "note": "轮胎 已换",
        "waits": True,
    }
    odd = {"项数": "4.5", "级": True, "愿望": "-", "备注": "NULL", "日": "--", "等": "否"}
    assert data(found, odd) == {
        "parts_requested": "4.5",
        "grade": True,
        "wishes": ["-"],
        "waits": False,
    }
    assert faults(mapping("vin: {path: v}"), {"v": ["x"]}) == [(2, "v", "not-text")]


def test_a_choice_is_spelled_as_the_catalogue_has_it() -> None:
    assert data(mapping("work_type: 类型"), {"类型": " Regular_Maintenance"}) == {
        "work_type": "regular_maintenance"
    }


def test_an_id_may_be_made_of_columns() -> None:
    found = read_mapping(HEAD + '    id: "{RO}/{行版本}"\n    fields: {advisor: SA}\n')
    (row,) = read(found, {"SA": "A1", "行版本": 7.0})
    assert row.events[0]["id"] == "R1/7"
    assert found.column_of("repair_order.opened", "/id") == "RO"


def test_conditions_on_records() -> None:
    found = read_mapping(
        HEAD + "    when: [{path: a.b, empty: false}, {path: length(c), is: [1, 2]}]\n"
        "    fields: {advisor: {value: A1}}\n"
    )
    assert len(read(found, {"a": {"b": 0}, "c": [1]})[0].events) == 1
    assert read(found, {"a": {}, "c": [1]})[0].skipped == "nothing to say"
    assert not read(found, {"a": {"b": 1}, "c": []})[0].events


@pytest.mark.parametrize(
    ("heading", "cell", "labor"),
    [
        ("工时费（万元）", "0.12", "1200"),
        ("工时费 (单位：千元)", 1.2, "1200"),
        ("工时费(元)", "860", "860"),
        ("工时费（万元）", "860元", "860"),
    ],
)
def test_a_heading_may_name_the_unit(heading: str, cell: Any, labor: str) -> None:
    found = mapping("amounts.labor: {column: 工时费, unit: 分}", kind="repair_order.settled")
    assert data(found, {heading: cell}) == {"amounts": {"labor": labor}}
    assert found.absent(["RO", "at", heading]) == []
    assert found.unread(["RO", "at", heading, "备注"]) == ["备注"]
    assert faults(found, {heading: "若干"}) == [(2, heading, "not-a-number")]


def test_a_unit_of_something_else_makes_another_column() -> None:
    found = mapping("billed_hours: 工时", kind="repair_order.settled")
    assert data(found, {"工时（分钟）": 90}) == {"billed_hours": "1.5"}
    assert data(found, {"工时（元）": 90}) == {}
    assert data(found, {"工时（分钟）": 90, "工时": 2}) == {"billed_hours": "2"}
    assert found.unread(["RO", "at", "工时（元）"]) == ["工时（元）"]
    assert data(mapping("advisor: 顾问"), {"顾问（元）": "A07"}) == {}


def test_what_is_not_there_is_absent_or_has_a_default() -> None:
    found = mapping("advisor: {column: SA, default: A0}\nwaiter: 等候\nodometer_km: 里程")
    for cells in ({}, {"SA": "\xa0", "等候": "", "里程": "--"}, {"SA": None, "里程": "N/A"}):
        (row,) = read(found, cells)
        assert row.events[0]["data"] == {"advisor": "A0"}
        assert row.events[0]["time"] == "2026-01-07T01:00:00+00:00"


def test_faults_name_the_column_the_value_and_what_to_do() -> None:
    found = mapping(
        """
advisor: {column: [SA, 顾问], required: true}
work_type: {column: 类型, values: {保养: regular_maintenance}, unmatched: fault}
waiter: 等候
odometer_km: 里程
vin: 车架
promised_at: 预交
"""
    )
    (row,) = read(
        found,
        {
            "顾问": "",
            "类型": "喷漆",
            "等候": "也许",
            "里程": "#N/A",
            "车架": "1.23456E+17",
            "预交": "5/6/26",
        },
    )
    assert [(fault.column, fault.field, fault.value, fault.code) for fault in row.faults] == [
        ("顾问", "/data/advisor", "", "missing"),
        ("类型", "/data/work_type", "喷漆", "unmatched-value"),
        ("等候", "/data/waiter", "也许", "not-a-flag"),
        ("里程", "/data/odometer_km", "#N/A", "error-cell"),
        ("车架", "/data/vin", "1.23456E+17", "digits-lost"),
        ("预交", "/data/promised_at", "5/6/26", "not-a-time"),
    ]
    assert all(fault.row == 2 and fault.detail for fault in row.faults)
    assert faults(mapping("vin: 车架"), {"RO": 1e16, "车架": "x"}) == [(2, "RO", "digits-lost")]


def test_values_that_no_map_has() -> None:
    for unmatched, expected in (("keep", {"work_type": "喷漆"}), ("null", {})):
        found = mapping(
            f"work_type: {{column: 类型, values: {{保养: warranty}}, unmatched: {unmatched}}}"
        )
        assert data(found, {"类型": "喷漆"}) == expected
        assert data(found, {"类型": "保养"}) == {"work_type": "warranty"}


def test_a_day_alone_is_midnight_with_a_warning_unless_a_time_is_said() -> None:
    (row,) = read(mapping("promised_at: 预交"), {"预交": "2026-01-05"})
    assert row.events[0]["data"] == {"promised_at": "2026-01-05T00:00:00+08:00"}
    assert [warning.code for warning in row.warnings] == ["no-time-of-day"]
    (row,) = read(mapping("promised_at: {column: 预交, at: 17:30}"), {"预交": "2026-01-05"})
    assert row.events[0]["data"] == {"promised_at": "2026-01-05T17:30:00+08:00"}
    assert not row.warnings


def test_times_are_in_the_zone_of_the_mapping_before_that_of_the_store() -> None:
    found = mapping("promised_at: 预交", head="zone: America/Denver")
    assert data(found, {"预交": "2026-07-05 09:30"}) == {
        "promised_at": "2026-07-05T09:30:00-06:00"
    }


GROUPED = mapping(
    """
amounts.labor: {column: 工时费, sum: true}
amounts.parts: {column: 材料费, sum: true, unit: 万元}
costs.labor: 成本
jobs: {each: {code: 项目, amount: 工时费, pay_type: {value: CUSTOMER_PAY}}}
""",
    kind="repair_order.settled",
    head="group_by: RO",
)


def test_rows_of_one_order_are_one_event_wherever_they_stand() -> None:
    rows: list[dict[str, Any]] = [
        {"RO": "R1", "项目": "M1", "工时费": "100", "材料费": 0.01, "成本": 5},
        {"RO": "R2", "项目": "M9", "工时费": "7"},
        {"RO": "R1", "项目": "M2", "工时费": 20.5, "材料费": "", "成本": 6},
        {"RO": "R1", "项目": "", "工时费": None},
        {"RO": "合计", "工时费": 127.5},
    ]
    skipped, first, second = read(GROUPED, *rows)
    assert skipped.skipped == "total"
    assert [row.number for row in first.rows] == [2, 4, 5]
    assert first.events[0]["data"] == {
        "amounts": {"labor": "120.5", "parts": "100"},
        "costs": {"labor": "5"},
        "jobs": [
            {"code": "M1", "amount": "100", "pay_type": "CUSTOMER_PAY"},
            {"code": "M2", "amount": "20.5", "pay_type": "CUSTOMER_PAY"},
        ],
    }
    assert [(w.row, w.column, w.code) for w in first.warnings] == [(4, "成本", "differs-in-group")]
    assert second.events[0]["data"]["amounts"] == {"labor": "7"}
    assert faults(GROUPED, {"工时费": "x"}, {"工时费": "1"}) == [(2, "工时费", "not-a-number")]


@given(st.permutations([("R1", 1), ("R1", 2), ("R2", 3), ("R3", 4), ("R2", 5)]))
def test_sums_do_not_depend_on_the_order_of_rows(rows: list[tuple[str, int]]) -> None:
    table = [{"RO": number, "工时费": hours} for number, hours in rows]
    sums = {
        row.events[0]["subject"]: row.events[0]["data"]["amounts"]["labor"]
        for row in read(GROUPED, *table)
    }
    assert sums == {"R1": "3", "R2": "8", "R3": "4"}


def test_lists_of_records() -> None:
    found = mapping(
        "jobs: {path: ops, each: {code: {path: id}, hours: {path: t, unit: 分钟}}}",
        kind="repair_order.settled",
    )
    assert data(found, {"ops": [{"id": 1, "t": 90}, {}, {"id": "b"}]}) == {
        "jobs": [{"code": "1", "hours": "1.5"}, {"code": "b"}]
    }
    assert data(found, {"ops": None}) == {}


def test_rows_that_are_left_out_say_why() -> None:
    found = mapping(
        "advisor: {column: SA, required: true}",
        head="skip_when: [{column: 状态, is: [作废, 取消]}, {column: SA, matches: ^测试}]",
    )
    reasons = [
        row.skipped
        for row in read(
            found,
            {"RO": "R1", "SA": "A1", "状态": "作废 "},
            {"RO": "R2", "SA": "测试员", "状态": ""},
            {"RO": "RO", "SA": "SA", "状态": "状态"},
            {"RO": "总计", "SA": None},
            {"RO": "制表人：某某", "SA": None},
            {"RO": "R3", "SA": "A1"},
        )
    ]
    assert reasons == ["skip_when", "skip_when", "heading", "total", "footer", None]
    broken = MappedRow((Row(7, {}, ("{",), "The line is no JSON."),))
    (row,) = found.read_all(broken.rows, context=CONTEXT)
    assert [(fault.row, fault.code) for fault in row.faults] == [(7, "unreadable-row")]


TWO = """
source: /dms/test
version: 1
emits:
  - type: repair_order.opened
    subject: RO
    time: at
    fields: {advisor: SA}
  - type: vehicle.registered
    when: VIN
    subject: VIN
    time: at
    fields: {plate: 车牌}
"""


def test_several_events_of_a_row_each_for_itself() -> None:
    found = read_mapping(TWO)
    cells = {"at": "2026-01-05 09:30", "SA": "A1", "VIN": "V1", "车牌": "沪A1"}
    (row,) = read(found, cells)
    assert [event["type"] for event in row.events] == ["repair_order.opened", "vehicle.registered"]
    (row,) = read(found, {**cells, "VIN": ""})
    assert [event["type"] for event in row.events] == ["repair_order.opened"]
    (row,) = read(found, {**cells, "车牌": "#REF!"})
    assert [event["type"] for event in row.events] == ["repair_order.opened"]
    assert [fault.column for fault in row.faults] == ["车牌"]
    assert found.column_of("vehicle.registered", "/data/plate") == "车牌"
    assert found.column_of("vehicle.registered", "/time") == "at"
    assert found.column_of("vehicle.registered", "/data/brand") == ""
    assert GROUPED.column_of("repair_order.settled", "/data/jobs/3/code", ["项 目"]) == "项 目"


def test_which_columns_it_needs_and_how_well_it_fits() -> None:
    found = mapping("advisor: {column: [SA, 顾问], required: true}\nvin: 车架号")
    assert found.missing(["RO", "车架号"]) == ["SA"]
    assert found.missing(["ro", "顾 问"]) == []
    assert found.absent(["RO", "SA"]) == ["at", "车架号"]
    assert found.share_of(["RO", "车架号", "at"]) == 0
    assert found.share_of(["RO", "顾问", "b", "c", "d"]) == 0.5
    assert found.share_of(["RO", "顾问"]) == 1  # all of the file
    assert found.share_of(["RO", "顾问", "at", "车架号", "其他"]) == 1


@pytest.mark.parametrize(
    ("path", "column"),
    [
        ("a.b[0]", "a"),
        ("join('x y', [a, b])", "a"),
        ("staff[?contains(roles, 'ADVISOR')].key | [0]", "staff"),
        ('"车".vin', "车"),
        ("[0]", None),
    ],
)
def test_a_path_needs_the_field_that_it_begins_with(path: str, column: str | None) -> None:
    text = path.replace("'", "''")
    found = mapping(f"vin: {{path: '{text}', required: true}}")
    assert found.missing(["RO"]) == ([] if column is None else [path])
    assert found.missing(["RO", column or ""]) == []


def identity(cells: dict[str, Any], **changed: Any) -> str:
    context = Context(
        changed.get("store", "S1"),
        CONTEXT.zone,
        changed.get("file_time", CONTEXT.file_time),
        changed.get("secret", b"secret"),
    )
    found = mapping(
        "advisor: SA\nodometer_km: 里程", kind=changed.get("kind", "repair_order.opened")
    )
    (row,) = found.read_all([Row(changed.get("number", 2), cells)], context=context)
    event_id: str = row.events[0]["id"]
    return event_id


def test_the_same_row_again_is_the_same_event_and_a_changed_one_is_new() -> None:
    cells = {"RO": "R1", "SA": "A1", "里程": 12.0, "at": "2026-01-05 09:30"}
    first = identity(cells)
    assert identity({**cells, "里程": "12.00", "at": "2026/1/5 9:30", "x": 1}, number=9) == first
    assert identity({**cells, "里程": 13}) != first
    assert identity({**cells, "at": "2026-01-05 09:31"}) != first
    assert identity(cells, secret=b"another") != first


def test_a_snapshot_is_the_same_whenever_it_was_exported() -> None:
    later = datetime(2026, 1, 8, tzinfo=UTC)
    cells = {"RO": "R1", "SA": "A1"}
    kind = "repair_order.snapshot"
    assert identity(cells, kind=kind) == identity(cells, kind=kind, file_time=later)
    assert identity(cells) != identity(cells, file_time=later)


# What is wrong with a mapping

BOMB = "a: &a [1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{below}'] * 10)}]\n" for below, name in pairwise("abcdefg")
)
HEAD = """source: /dms/x
version: 1
emits:
  - type: repair_order.opened
    subject: RO
    time: file
"""


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("source: [", "no-yaml", "Line 1"),
        ("source: /x\nversion: 1\nversion: 2", "no-yaml", "Line 3: the key 'version'"),
        ("source: !!python/name:os.system x", "no-yaml", "tag"),
        (BOMB, "no-yaml", "more than"),
        ("source: \0", "no-yaml", "special characters"),
        ("[" * 3_000, "no-yaml", "deeply"),
        ("values: &a {b: *a}", "no-yaml", "holds itself"),
        (f"version: {'9' * 5_000}", "no-yaml", "digits"),
        ("- 1", "not-an-object", "settings below"),
        ("version: 1\nvalues: {waiter: {是: true}}", "missing", "required"),
        ("source: /x\nversion: '1'\nvalues: {waiter: {是: true}}", "not-a-number", "Line 2"),
        ("source: /servicelane/x\nversion: 1\nvalues: {waiter: {是: true}}", "bad-value", "own"),
        ("source: /x\nversion: 1", "bad-value", "emits"),
        (HEAD + "    fields: {advisor: {colum: SA}}", "unknown-setting", "Did you mean `column`?"),
        (HEAD + "    fields: {advisr: SA}", "unknown-field", "advisor"),
        (HEAD + "    fields: {contact: SA}", "unknown-field", "contact.name"),
        (HEAD + "    fields: {advisor: {column: a, path: b}}", "bad-value", "needs one of"),
        (HEAD + "    fields: {advisor: {}}", "bad-value", "needs one of"),
        (HEAD + "    fields: {vin: {path: 'a[['}}", "bad-value", "JMESPath"),
        (HEAD + "    fields: {odometer_km: {column: a, unit: 里}}", "bad-value", "千公里"),
        (HEAD + "    fields: {promised_at: {column: a, format: '%Q'}}", "bad-value", "%Y/%m/%d"),
        (HEAD + "    fields: {promised_at: {column: a, at: 25:00}}", "bad-value", "17:30"),
        (HEAD + "    fields: {odometer_km: {column: a, sum: true}}", "bad-value", "group_by"),
        (HEAD + "    fields: {waiter: {column: a, values: {A: B, B: C}}}", "two-meanings", "last"),
        (HEAD + "    id: fixed\n    fields: {}", "bad-value", "braces"),
        (HEAD + "    when: {column: a}", "bad-value", "is, matches, empty"),
        (HEAD + "    when: {column: a, matches: '('}", "bad-value", "regular expression"),
        (HEAD.replace("opened", "opned"), "unknown-type", "repair_order.opened"),
        (HEAD + "    fields: {odometer_km: {each: {a: b}, column: c}}", "bad-value", "`each`"),
        (HEAD + "    fields: {promised_at: {column: a, epoch: 1901}}", "bad-value", "1904"),
        (HEAD + "    when: {is: x}", "bad-value", "a column or a path"),
        (HEAD + "values: {waiter: {A: B, B: C}}", "two-meanings", "last"),
        (
            HEAD
            + "    fields: {waiter: {column: a, values: {X: true}}}\nvalues: {waiter: {Y: true}}",
            "two-meanings",
            "elsewhere",
        ),
        (
            (HEAD + "    fields: {jobs: a}").replace("opened", "settled"),
            "bad-value",
            "say its fields with `each`",
        ),
        (HEAD + "    fields: {vin: {column: a, sum: true}}\ngroup_by: RO", "bad-value", "a sum"),
        ("# " + "x" * 300_000, "too-long", "characters"),
        (HEAD + "zone: Asia/Atlantis", "bad-value", "time zone"),
        (HEAD + 'title: "a\\0"', "bad-value", "stored"),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_what_is_wrong_is_told_with_its_line(text: str, code: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_mapping(text)
    found = {fault.code: fault.detail for fault in caught.value.faults}
    assert words in found[code]
    assert all(detail.startswith("Line ") for detail in found.values()) or code == "too-long"


def test_yaml_is_read_as_people_mean_it() -> None:
    found = read_mapping(
        HEAD
        + "    fields:\n      waiter: {column: 等候, values: {yes: true, no: false, 1: true}}\n"
        "      promised_at: {column: 预交, at: 08:05}\n"
    )
    assert data(found, {"等候": "NO", "预交": "2026-01-05"}) == {
        "waiter": False,
        "promised_at": "2026-01-05T08:05:00+08:00",
    }
    assert data(found, {"等候": 1.0}) == {"waiter": True}


@pytest.mark.parametrize(
    ("field", "cell"),
    [
        ("promised_at: x", datetime(1, 1, 1)),  # noqa: DTZ001 - as a sheet has it
        ("promised_at: x", 10**400),
        ("odometer_km: {column: x, unit: 万公里}", "9" * 40),
    ],
)
def test_what_lies_beyond_all_numbers_and_times_concerns_its_row_alone(
    field: str, cell: Any
) -> None:
    assert faults(mapping(field), {"x": cell}) == [(2, "x", "out-of-range")]


def test_a_count_too_large_for_json_is_left_to_the_door_as_text() -> None:
    found = mapping("parts_requested: x", kind="repair_order.settled")
    assert data(found, {"x": "6901234567890123456789"}) == {
        "parts_requested": "6901234567890123456789"
    }
