"""What is wrong with a cell."""

from dataclasses import dataclass


class UnreadableError(Exception):
    """A value can't be read as what its field asks for.

    Attributes:
        code: Stable and kebab-case, for programs.
        detail: One sentence that says what is wrong.
        hint: What to do, "" where the detail says it.
    """

    def __init__(self, code: str, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.hint = hint


@dataclass(frozen=True, slots=True)
class CellFault:
    """One thing that a row couldn't be read for, or that deserves a look.

    Attributes:
        row: Number of the row, as the user sees it.
        column: Heading of the column or path in the record; "" where there is none.
        field: The event's field, such as `/data/amounts/labor`, or its attribute.
        value: What the cell shows; "" if empty.
        code: Stable and kebab-case, for programs.
        detail: What is wrong, for people.
        hint: What to do; "" if there is nothing to add.
    """

    row: int
    column: str
    field: str
    value: str
    code: str
    detail: str
    hint: str = ""
