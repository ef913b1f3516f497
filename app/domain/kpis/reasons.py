"""Why something counts or does not: stable codes, and their words in both languages."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from app.domain.kpis.kpi import Words

# Orders, whatever the KPI
SETTLED: Final = "settled"
NOT_SETTLED: Final = "not-settled"
CANCELLED: Final = "cancelled"
OPENED: Final = "opened"
NEVER_OPENED: Final = "never-opened"

# Delivery (D16 settles the first five)
NO_PROMISE: Final = "no-promise"
ON_TIME: Final = "on-time"
LATE: Final = "late"
EXCUSED: Final = "excused-by-customer"
CUSTOMER_SAYS_LATE: Final = "customer-says-late"
NOT_EXCUSED: Final = "not-excused"
PROMISED: Final = "promised"
PROMISE_CHANGED: Final = "promise-changed"
PROMISE_UNCHANGED: Final = "promise-unchanged"

# Spans
MEASURED: Final = "measured"
NEGATIVE_SPAN: Final = "negative-span"
NO_START: Final = "no-start"
NOT_DISPATCHED: Final = "not-dispatched"

# Quality
COMEBACK: Final = "comeback-counted"
COMEBACK_OPEN: Final = "comeback-open"
COMEBACK_NOT_COUNTED: Final = "comeback-not-counted"
NO_COMEBACK: Final = "no-comeback"
INSPECTION_FAILED: Final = "inspection-failed"
INSPECTIONS_PASSED: Final = "inspections-passed"
NOT_INSPECTED: Final = "not-inspected"
NO_DEFECT: Final = "no-defect"
OTHER_WORK_TYPE: Final = "other-work-type"

# Money, hours, parts
CARRIES_COSTS: Final = "carries-costs"
NO_COSTS: Final = "no-costs"
HOURS_KNOWN: Final = "hours-known"
HOURS_MISSING: Final = "hours-missing"
PARTS_FILLED: Final = "parts-filled"
PARTS_NOT_FILLED: Final = "parts-not-filled"
NO_PARTS_REQUESTED: Final = "no-parts-requested"

# Follow-ups and complaints
COMPLETED: Final = "completed"
COMPLETED_IN_TIME: Final = "completed-in-time"
COMPLETED_TOO_EARLY: Final = "completed-too-early"
COMPLETED_TOO_LATE: Final = "completed-too-late"
COMPLETED_BY_TARGET: Final = "completed-by-target"
COMPLETED_AFTER_TARGET: Final = "completed-after-target"
NOT_COMPLETED: Final = "not-completed"
NOT_DUE: Final = "not-due"
MISSED_ON_ARRIVAL: Final = "missed-on-arrival"
NO_WINDOW: Final = "no-window"
OTHER_KIND: Final = "other-kind"
COMPLAINT_OPENED: Final = "complaint-opened"

# What a KPI has nothing to say about
UNRELATED: Final = "unrelated"

REASONS: Final[Mapping[str, Words]] = MappingProxyType(
    {
        SETTLED: Words("the order is settled", "工单已结算"),
        NOT_SETTLED: Words("the order is not settled yet", "工单尚未结算"),
        CANCELLED: Words("cancelled; counts nowhere", "已取消，不计入任何指标"),
        OPENED: Words("the order was opened", "工单已开"),
        NEVER_OPENED: Words("the opening was never reported", "从未收到开单事件"),
        NO_PROMISE: Words("no delivery time was promised", "没有承诺交车时间"),
        ON_TIME: Words("delivered by the promise in force", "在有效承诺时间内交车"),
        LATE: Words("delivered after the promise in force", "晚于有效承诺时间交车"),
        EXCUSED: Words(
            "late, and the customer signed that the delay was on the customer's side",
            "迟交，但客户已签字确认延误由客户造成",
        ),
        CUSTOMER_SAYS_LATE: Words(
            "the customer said in a follow-up that it was late", "客户在回访中表示未准时交车"
        ),
        NOT_EXCUSED: Words("no excused lateness", "没有免责的迟交"),
        PROMISED: Words("a delivery time was promised", "有承诺交车时间"),
        PROMISE_CHANGED: Words("the promise was changed", "承诺时间有变更"),
        PROMISE_UNCHANGED: Words("the promise was never changed", "承诺时间没有变更"),
        MEASURED: Words("the span could be measured", "时长可以计算"),
        NEGATIVE_SPAN: Words("the end lies before the start", "结束时间早于开始时间"),
        NO_START: Words(
            "neither an opening nor an authorization was reported", "没有开单也没有客户签字事件"
        ),
        NOT_DISPATCHED: Words("not dispatched yet", "尚未派工"),
        COMEBACK: Words("a comeback counts against it", "有计入的返修"),
        COMEBACK_OPEN: Words("a comeback was reported and is not assessed yet", "返修尚未鉴定"),
        COMEBACK_NOT_COUNTED: Words(
            "a comeback was reported and does not count", "有返修，但不计入"
        ),
        NO_COMEBACK: Words("no comeback was reported", "没有返修"),
        INSPECTION_FAILED: Words("an inspection was not passed", "检验不合格"),
        INSPECTIONS_PASSED: Words("every inspection was passed", "检验全部合格"),
        NOT_INSPECTED: Words("no inspection was reported", "没有检验记录"),
        NO_DEFECT: Words(
            "neither a failed inspection nor a counted comeback",
            "没有检验不合格，也没有计入的返修",
        ),
        OTHER_WORK_TYPE: Words(
            "neither an ordinary repair nor warranty work", "不属于一般维修或保修"
        ),
        CARRIES_COSTS: Words("the settlement carries costs", "结算单带有成本"),
        NO_COSTS: Words("the settlement carries no costs", "结算单没有成本"),
        HOURS_KNOWN: Words("both kinds of hours are known", "两种工时均已知"),
        HOURS_MISSING: Words("hours are missing", "缺少工时"),
        PARTS_FILLED: Words("every requested part was supplied", "所需备件全部供应"),
        PARTS_NOT_FILLED: Words("not every requested part was supplied", "所需备件未全部供应"),
        NO_PARTS_REQUESTED: Words("no part was requested", "没有领用备件需求"),
        COMPLETED: Words("the call was completed", "回访已完成"),
        COMPLETED_IN_TIME: Words("the call was completed within its window", "回访在期限内完成"),
        COMPLETED_TOO_EARLY: Words(
            "the call was completed before its window opened", "回访早于期限开始完成"
        ),
        COMPLETED_TOO_LATE: Words("the call was completed after it was due", "回访逾期完成"),
        COMPLETED_BY_TARGET: Words(
            "the call was completed by the target day", "回访在目标日前完成"
        ),
        COMPLETED_AFTER_TARGET: Words(
            "the call was completed after the target day", "回访在目标日后完成"
        ),
        NOT_COMPLETED: Words("the call was due and not completed", "回访到期未完成"),
        NOT_DUE: Words("the call is not due yet", "回访尚未到期"),
        MISSED_ON_ARRIVAL: Words(
            "the window was over before its cause was recorded", "事件录入时回访期限已过"
        ),
        NO_WINDOW: Words("the call has no window", "回访没有期限"),
        OTHER_KIND: Words("another kind of call", "不属于该指标的回访类型"),
        COMPLAINT_OPENED: Words("a complaint was opened", "有客户投诉"),
        UNRELATED: Words("the KPI is about something else", "与该指标无关"),
    }
)
