"""What is wrong with a cell."""

from dataclasses import dataclass


class UnreadableError(Exception):
    """A value can't be read as what its field asks for.

    Attributes:
        code: Stable and kebab-case, for programs.
        detail: One sentence that says what is wrong.
        bare: The same without what the cell shows, which may be personal.
        hint: What to do, "" where the detail says it.
    """

    def __init__(self, code: str, detail: str, hint: str = "", *, of: str | None = None) -> None:
        """Say what is wrong.

        Args:
            code: As of the attribute.
            detail: As of the attribute; `{}` is where the value goes, if one is given.
            hint: As of the attribute.
            of: The value, as it is to be shown.
        """
        self.code = code
        self.detail = detail if of is None else detail.format(of)
        self.bare = detail if of is None else detail.format("…")
        self.hint = hint
        super().__init__(self.detail)


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
        bare: The detail without the value, for those who may not see it; "" if it has none.
    """

    row: int
    column: str
    field: str
    value: str
    code: str
    detail: str
    hint: str = ""
    bare: str = ""
