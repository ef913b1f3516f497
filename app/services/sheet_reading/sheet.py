"""A table in a file, ready to be read row by row."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.domain.cells import Cell, Row

Format = Literal["csv", "xlsx", "ods", "xls", "xml", "html", "json", "ndjson"]


class SheetError(Exception):
    """A file can't be read as a table.

    Attributes:
        code: Stable and kebab-case: `empty`, `encrypted`, `corrupt`, `truncated`, `too-large`,
            `wrong-charset`, `not-a-table`, `archive`, `no-such-sheet`, `no-heading`,
            `line-too-long`.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True)
class Sheet:
    """A table in a file.

    Attributes:
        format: What the content is, whatever the name of the file says.
        columns: The headings, each once; of records the fields of the first ones.
        total_rows: How many rows `rows` gives at most; None where only reading tells.
        make_others: See `others`.
        name: Of the sheet, where it has one.
        names: All sheets of the workbook, where there are several.
        places: Which cell of a row each column is, from 0; none of records.
        header_row: Number of the last row of the heading; None of records.
        above: The rows above the heading, as they lie in the sheet.
        encoding: Of text, as Python names it.
        delimiter: Of separated values.
        compressed: Whether the file is a gzip of it.
    """

    format: Format
    columns: Sequence[str]
    total_rows: int | None
    make_rows: Callable[[], Iterator[Row]] = field(repr=False)
    share_read: Callable[[], float | None] = field(repr=False)
    make_others: Callable[[], Mapping[str, Sequence[str]]] = field(repr=False, default=dict)
    name: str | None = None
    names: Sequence[str] = ()
    places: Sequence[int] = ()
    header_row: int | None = None
    above: Sequence[Sequence[Cell]] = ()
    encoding: str | None = None
    delimiter: str | None = None
    compressed: bool = False

    def rows(self) -> Iterator[Row]:
        """Read the rows from the first one on, without empty ones; each call begins anew.

        Raises:
            SheetError: The file turns out to be broken in the middle; its rows up to there were
                given.
        """
        return self.make_rows()

    def others(self) -> Mapping[str, Sequence[str]]:
        """Return the headings of the other tables of the file, by what they are called.

        Those that show and have rows count; there are none where one was asked for.

        Raises:
            SheetError: One of them is damaged.
        """
        return self.make_others()

    def progress(self) -> float | None:
        """Tell how much of the file the last `rows` has read, 0 to 1; None if unknown."""
        return self.share_read()
