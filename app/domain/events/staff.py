"""Staff and their timecards. The subject is the staff number."""

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field
from typing_extensions import override

from app.domain.errors import Fault
from app.domain.events.marks import SetHere
from app.domain.events.names import Naming, staff_no_in
from app.domain.events.payload import (
    Day,
    Name,
    Names,
    Payload,
    PersonalOf,
    Quantity,
    SetAtDoor,
    Text,
)


class StaffRegistered(SetAtDoor):
    """Somebody works here, or their entry changed. 员工登记."""

    name: PersonalOf[Text] = Field(None, description="Name 姓名")
    roles: Names | None = Field(None, description="Roles 岗位")
    team: Name | None = Field(None, description="Team 班组")
    aliases: PersonalOf[Names] = Field(
        None, description="Other spellings that exports use for this person 别名"
    )
    name_key: Annotated[str | None, SetHere()] = Field(
        None, description="What the log has for the name; set by the service 姓名代号"
    )
    alias_keys: Annotated[list[str] | None, SetHere()] = Field(
        None, description="What the log has for the aliases; set by the service 别名代号"
    )

    @override
    def completed(self, names: Naming) -> Self:
        """Return it with what resolves names, so that the log alone can (E3)."""
        return self.model_copy(
            update={
                "name_key": None if self.name is None else names.key_of(self.name),
                "alias_keys": None if self.aliases is None else names.keys_of(self.aliases),
            }
        )

    @override
    def warnings(self) -> Iterator[Fault]:
        """Yield the names that resolve nothing, because texts like them are staff numbers."""
        texts = [("/data/name", self.name)]
        texts += [(f"/data/aliases/{n}", alias) for n, alias in enumerate(self.aliases or ())]
        for pointer, text in texts:
            if text is not None and staff_no_in(text) is not None:
                detail = "A text of this form is a staff number wherever it is sent, never a name."
                yield Fault(pointer, "counts-as-staff-number", detail)


class StaffTimecardRecorded(Payload):
    """The hours of one working day; the latest per person and day counts. 考勤工时."""

    work_date: Day = Field(description="Working day in the store's zone 工作日期")
    attended_hours: Quantity = Field(description="Hours present 出勤工时")
    clocked_hours: Quantity | None = Field(None, description="Hours clocked on jobs 实际作业工时")
    team: Name | None = Field(None, description="Team on that day 班组")
