"""Triggers, functions and grants as .sql files, executed by the migrations that name them.

Those in `of_0001/` are as that revision had them, for the way back to it.
"""

from importlib.resources import files
from typing import Any

from alembic import op
from sqlalchemy import text


def execute_file(name: str) -> None:
    """Execute a file of this folder, all its statements, in the migration's transaction."""
    # the files are those of today: an older migration runs them before a later one adds columns
    script = "SET LOCAL check_function_bodies = off;\n"
    script += files(__package__).joinpath(name).read_text(encoding="utf-8")
    connection = op.get_bind()
    connection.execute(text("SELECT 1"))  # the driver begins the transaction at a first statement
    driver: Any = connection.connection.dbapi_connection
    driver.run_async(lambda raw: raw.execute(script))  # the simple protocol: many statements
