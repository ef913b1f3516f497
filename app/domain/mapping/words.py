"""What headings and coded values usually mean: data for drafting a mapping, nothing else reads it.

The first heading of a field is the plainest one. Matching ignores case, spaces and the width of
characters.
"""

from collections.abc import Mapping, Sequence
from typing import Final

HEADINGS: Final[Mapping[str, Sequence[str]]] = {
    "ro_number": (
        *(
            "工单号",
            "委托书号",
            "维修单号",
            "施工单号",
            "工单编号",
            "委托单号",
            "结算单号",
            "单号",
        ),
        *("RONumber", "RO No", "RO", "Repair Order", "Repair Order Number", "repair_order_id"),
        *("Work Order", "Order No", "repairOrderId", "Job Card No"),
    ),
    "customer_no": (
        *(
            "客户编号",
            "客户代码",
            "客户号",
            "车主编号",
            "CustNo",
            "Customer No",
            "Customer Number",
        ),
        *("customer_id",),
    ),
    "staff_no": ("工号", "员工编号", "员工号", "人员编号", "Employee No", "Staff No", "EmpNo"),
    "vin": ("车架号", "VIN", "VIN码", "底盘号", "车辆识别号", "Vehicle Identification Number"),
    "plate": ("车牌号", "车牌", "牌照号", "Plate", "License Plate", "Registration", "Reg No"),
    "customer_name": ("客户", "客户名称", "客户姓名", "车主", "车主姓名", "Customer", "Name1"),
    "phones": ("联系电话", "手机", "手机号", "客户电话", "电话", "Phone", "Mobile", "Telephone"),
    "contact.name": ("送修人", "送车人", "Contact", "Contact Name"),
    "contact.phone": ("送修人电话", "送修电话", "Contact Phone"),
    "odometer_km": ("进厂里程", "行驶里程", "里程", "Mileage", "Odometer", "checkInMileage"),
    "handover_odometer_km": ("出厂里程", "MileageOut", "Mileage Out", "checkOutMileage"),
    "work_type": ("维修类型", "维修类别", "业务类型", "修理类别", "Work Type", "Service Type"),
    "pay_type": (
        *("付费方式", "付费类型", "结算方式", "账类", "Pay Type", "lbrLaborType", "Labor Type"),
    ),
    "advisor": (
        *("服务顾问", "接车员", "SA", "接待员", "前台", "ServiceAdvisor", "Service Advisor"),
        *("Advisor", "assignedAdvisor"),
    ),
    "technician": (
        *("维修技师", "主修人", "主修技师", "技师", "维修工", "lbrTechNo", "Technician", "Tech"),
    ),
    "team": ("班组", "维修班组", "组别", "Team"),
    "bay": ("工位", "工位号", "Bay"),
    "waiter": ("是否等候", "在店等候", "等候", "WaiterFlag", "Waiter", "Waiting"),
    "concerns": (
        "故障描述",
        "客户描述",
        "报修内容",
        "送修症状",
        "Concern",
        "Complaint",
        "Concerns",
    ),
    "status": ("工单状态", "单据状态", "状态", "Status", "RO Status"),
    "opened_at": (
        *("进厂时间", "进厂日期", "开单时间", "开单日期", "接车时间", "来厂时间", "OpenDate"),
        *("Open Date", "Opened", "checkInDateTime", "Date In"),
    ),
    "first_promised_at": ("首次预交时间", "首次预计交车时间", "OrigPromisedDate"),
    "promised_at": (
        *(
            "预计交车时间",
            "预交时间",
            "预交车时间",
            "承诺交车时间",
            "预计完工时间",
            "约定交车时间",
        ),
        *("预交日期", "PromisedDate", "Promised", "Promised Date", "Due", "dueOutDateTime"),
    ),
    "dispatched_at": ("派工时间", "派工日期", "Dispatched"),
    "work_started_at": ("开工时间", "开始维修时间", "Started", "Work Started"),
    "work_completed_at": ("完工时间", "竣工时间", "竣工日期", "Completed", "Work Completed"),
    "settled_at": (
        *("结算时间", "结算日期", "结账时间", "收款时间", "ClosedDate", "Closed", "Close Date"),
        *("Invoice Date", "Settled"),
    ),
    "handed_over_at": (
        *("出厂时间", "出厂日期", "交车时间", "实际交车时间", "离店时间", "Delivered"),
        *("checkOutDateTime", "Date Out", "Picked Up"),
    ),
    "cancelled_at": ("作废时间", "取消时间", "VoidedDate", "Cancelled", "Voided"),
    "cancel_reason": ("作废原因", "取消原因", "Cancel Reason"),
    "amounts.labor": ("工时费", "工时金额", "工费", "Labor", "Labour", "Labor Amount", "lbrSale"),
    "amounts.parts": (
        "材料费",
        "配件费",
        "配件金额",
        "材料金额",
        "Parts",
        "Parts Amount",
        "prtSale",
    ),
    "amounts.sublet": ("外加工费", "外包费", "外协费", "Sublet"),
    "amounts.other": ("其他", "其他费用", "其它费用", "附加费", "Other", "Misc"),
    "costs.labor": ("工时成本", "Labor Cost", "lbrCost"),
    "costs.parts": ("材料成本", "配件成本", "Parts Cost", "prtCost"),
    "costs.sublet": ("外加工成本", "Sublet Cost"),
    "costs.other": ("成本", "总成本", "其他成本", "Cost"),
    "billed_hours": ("结算工时", "工时数", "工时", "lbrSoldHours", "Billed Hours", "Sold Hours"),
    "clocked_hours": ("实际工时", "作业工时", "lbrActualHours", "Actual Hours"),
    "parts_requested": ("配件需求项数", "需求项数", "Parts Requested"),
    "parts_filled": ("配件满足项数", "满足项数", "Parts Filled"),
    "jobs.code": ("项目代码", "项目编码", "维修项目代码", "lbrOpCode", "Op Code", "Labor Code"),
    "jobs.text": ("项目名称", "维修项目", "作业项目", "lbrOpCodeDesc", "Description", "Operation"),
    "estimate_amount": ("预估金额", "估价金额", "预估费用", "Estimate"),
    "brand": ("品牌", "Brand", "Make"),
    "model": ("车型", "车型名称", "Model"),
    "name": ("姓名", "员工姓名", "Employee Name", "Full Name"),
    "aliases": ("别名", "曾用名", "系统名", "Alias", "Aliases"),
    "roles": ("角色", "岗位", "职务", "Role", "Roles", "Position", "Job Title"),
}
"""Field -> its headings. Keys are fields of events; a few stand for subjects and for files."""

VALUES: Final[Mapping[str, Mapping[str, Sequence[str]]]] = {
    "work_type": {
        "first_maintenance": ("首保", "首次保养", "首次免费保养", "First Service"),
        "regular_maintenance": ("保养", "定期保养", "常规保养", "例保", "Maintenance", "Service"),
        "ordinary_repair": (
            *("维修", "一般维修", "机电维修", "普通维修", "小修", "大修", "Repair"),
            *("机修", "电器维修"),
        ),
        "accident": (
            "事故",
            "事故维修",
            "事故车",
            "钣喷",
            "保险",
            "Accident",
            "Body",
            "Collision",
        ),
        "warranty": ("索赔", "保修", "三包", "质保", "召回", "Warranty", "Recall"),
        "other": ("其他", "其它", "内部", "内修", "精品", "装潢", "返修", "Other", "Internal"),
    },
    "pay_type": {
        "CUSTOMER_PAY": (
            "自费",
            "客户付费",
            "自付",
            "C",
            "CP",
            "Customer",
            "Customer Pay",
            "保险",
        ),
        "WARRANTY": ("索赔", "厂家", "保修", "三包", "W", "WP", "Warranty"),
        "INTERNAL": ("内部", "内结", "店内", "I", "IP", "Internal"),
    },
    "status": {
        "open": ("在修", "维修中", "已开单", "已派工", "待派工", "进行中", "Open", "In Progress"),
        "ready_to_bill": ("完工", "已完工", "竣工", "待结算", "Ready", "Completed"),
        "settled": ("已结算", "已收银", "已结账", "Invoiced", "Settled", "Paid"),
        "closed": ("已交车", "已出厂", "已关闭", "完结", "Closed", "Delivered"),
        "cancelled": ("作废", "已作废", "已取消", "取消", "Void", "Voided", "Cancelled"),
    },
    "roles": {
        "service_advisor": ("服务顾问", "前台", "接待", "SA", "Service Advisor", "Advisor"),
        "technician": ("维修技师", "技师", "机修", "机电", "钣金", "喷漆", "Technician"),
        "final_inspector": ("质检", "终检", "质检员", "Inspector"),
        "workshop_supervisor": ("车间主管", "车间主任", "Shop Foreman"),
        "service_manager": ("服务经理", "售后经理", "Service Manager"),
        "station_head": ("站长",),
        "followup_agent": ("客服", "回访员", "CRM"),
        "parts_manager": ("配件经理", "Parts Manager"),
    },
}
"""Field -> meaning -> the values that usually have it."""
