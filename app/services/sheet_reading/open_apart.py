"""Opens a workbook in a process of its own: run as a script, the workbook on standard input.

The library reserves room for all between the first and the last cell. A stray cell far out, or a
damaged file, asks for more than there is, and that ends the process. Better this one.
"""

import io
import sys
from contextlib import suppress

from python_calamine import CalamineWorkbook

MOST_BYTES = 4 << 30
"""Of memory."""


def main() -> None:
    """Open every sheet; what else may be wrong is for the caller to find out."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - there is none on Windows

        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    content = sys.stdin.buffer.read()
    with suppress(BaseException):  # the library's panic is no `Exception`
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        for index in range(len(workbook.sheet_names)):
            workbook.get_sheet_by_index(index)


if __name__ == "__main__":
    main()
