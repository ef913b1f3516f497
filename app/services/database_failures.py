"""What an error says of the database: it is away, an answer was lost, a text was refused."""

import socket
from collections.abc import Iterator
from types import TracebackType

import asyncpg
import sqlalchemy.exc


def is_database_away(error: BaseException) -> bool:
    """Tell whether an error means that the database can't be reached, not that it refused."""
    for cause in _chain(error):
        match cause:
            case (
                asyncpg.PostgresConnectionError()
                | asyncpg.CannotConnectNowError()
                | asyncpg.AdminShutdownError()
                | asyncpg.CrashShutdownError()
                | asyncpg.TooManyConnectionsError()
                | sqlalchemy.exc.TimeoutError()
            ):
                return True
            case sqlalchemy.exc.DBAPIError() if cause.connection_invalidated:
                return True
            case asyncpg.InterfaceError() if "clos" in str(cause):
                return True
            case asyncpg.InternalClientError() if "another operation" in str(cause):
                return True  # the session ended between two messages of a statement
            case ConnectionError() | TimeoutError() | FileNotFoundError() | socket.gaierror() if (
                _is_from_asyncpg(cause.__traceback__)
            ):
                return True
            case _:
                pass
    return False


def is_unsupported_text(error: BaseException) -> bool:
    """Tell whether the database refused a text: NUL and lone surrogates are never kept."""
    return any(
        isinstance(
            cause, asyncpg.UntranslatableCharacterError | asyncpg.CharacterNotInRepertoireError
        )
        for cause in _chain(error)
    )


def is_answer_lost(error: Exception) -> bool:
    """Tell whether the connection broke: what was being written may be there or not.

    asyncpg says `InternalClientError` where a session ends between two of its messages.
    """
    return isinstance(
        error,
        OSError
        | asyncpg.InterfaceError
        | asyncpg.InternalClientError
        | asyncpg.PostgresConnectionError
        | asyncpg.OperatorInterventionError,
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised from, nearest first; groups are opened."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            waiting.extend(current.exceptions)
        if isinstance(current, sqlalchemy.exc.DBAPIError) and current.orig is not None:
            waiting.append(current.orig)
        if current.__cause__ is not None:
            waiting.append(current.__cause__)


def _is_from_asyncpg(traceback: TracebackType | None) -> bool:
    """Tell whether an error came out of the database driver: an OSError may be anything's."""
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__name__", "").startswith("asyncpg."):
            return True
        traceback = traceback.tb_next
    return False
