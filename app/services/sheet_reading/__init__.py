"""Reading files as shops have them: every way to write a table down ends in the same rows.

What a file is, is told by its content, never by its name.
"""

from app.domain.cells import Cell, Row
from app.services.sheet_reading.opening import open_sheet
from app.services.sheet_reading.sheet import Sheet, SheetError

__all__ = ["Cell", "Row", "Sheet", "SheetError", "open_sheet"]
