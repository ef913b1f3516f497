"""JSON Patch (RFC 6902): all six operations, on a copy; all of a patch or nothing of it."""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

from app.domain.errors import InvalidInputError

MAX_OPERATIONS: Final = 1_000

MAX_COPIED: Final = 1_000_000
"""Characters that the copies of a patch may be long in all, about: each can double the last."""

_INDEX: Final = re.compile(r"0|[1-9][0-9]*")
_OPERATIONS: Final = frozenset({"add", "remove", "replace", "move", "copy", "test"})


class _CannotApplyError(Exception):
    """An operation doesn't fit the document."""


def apply_patch(document: Any, patch: Sequence[Mapping[str, Any]]) -> Any:
    """Return the document as the patch makes it; the document itself stays as it is.

    Raises:
        InvalidInputError: An operation is malformed or doesn't fit; pointers lead into the patch.
    """
    if len(patch) > MAX_OPERATIONS:
        detail = f"A patch has at most {MAX_OPERATIONS} operations."
        raise InvalidInputError.at("", "too-long", detail)
    try:
        document = deepcopy(document)
    except RecursionError:
        detail = "The document is nested too deeply."
        raise InvalidInputError.at("", "too-deep", detail) from None
    room = MAX_COPIED
    for number, operation in enumerate(patch):
        try:
            if operation.get("op") == "copy":
                room -= _length_of_copied(document, operation, room)
            document = _apply(document, operation)
        except _CannotApplyError as error:
            raise InvalidInputError.at(f"/{number}", "cannot-apply", str(error)) from None
        except RecursionError:
            detail = "It would nest the document too deeply."
            raise InvalidInputError.at(f"/{number}", "cannot-apply", detail) from None
    return document


def _length_of_copied(document: Any, operation: Mapping[str, Any], room: int) -> int:
    """Measure, about, what an operation copies.

    Raises:
        _CannotApplyError: There is nothing to copy, or not so much room.
    """
    length = 0
    values = [_get(document, _tokens(_text(operation, "from")))]
    while values:
        value = values.pop()
        length += 1 + (len(value) if isinstance(value, str) else 0)
        if isinstance(value, dict):
            length += sum(map(len, value))
            values += value.values()
        elif isinstance(value, list):
            values += value
        if length + len(values) > room:
            raise _CannotApplyError(f"The patch copies more than {MAX_COPIED} characters.")
    return length


def check_patch(patch: Sequence[Mapping[str, Any]]) -> None:
    """Check the form of a patch without a document.

    Raises:
        InvalidInputError: An operation is malformed; pointers lead into the patch.
    """
    for number, operation in enumerate(patch):
        try:
            _check(operation)
        except _CannotApplyError as error:
            raise InvalidInputError.at(f"/{number}", "cannot-apply", str(error)) from None


def get_at(document: Any, pointer: str) -> Any:
    """Return what a JSON pointer (RFC 6901) leads to; None if it leads nowhere."""
    try:
        return _get(document, _tokens(pointer))
    except _CannotApplyError:
        return None


def _check(operation: Mapping[str, Any]) -> None:
    name = operation.get("op")
    if not isinstance(name, str) or name not in _OPERATIONS:
        raise _CannotApplyError(
            "`op` must be add, remove, replace, move, copy or test (RFC 6902)."
        )
    _tokens(_text(operation, "path"))
    if name in {"move", "copy"}:
        _tokens(_text(operation, "from"))
    elif name != "remove":
        _value(operation)


def _apply(document: Any, operation: Mapping[str, Any]) -> Any:
    _check(operation)
    path = _tokens(_text(operation, "path"))
    match operation["op"]:
        case "add":
            return _add(document, path, deepcopy(_value(operation)))
        case "remove":
            return _remove(document, path)[0]
        case "replace":
            return _replace(document, path, deepcopy(_value(operation)))
        case "move":
            origin = _tokens(_text(operation, "from"))
            if path[: len(origin)] == origin and path != origin:
                raise _CannotApplyError("A value can't be moved into itself.")
            document, value = _remove(document, origin)
            return _add(document, path, value)
        case "copy":
            value = _get(document, _tokens(_text(operation, "from")))
            return _add(document, path, deepcopy(value))
        case _:
            if not _same(_get(document, path), _value(operation)):
                raise _CannotApplyError("The value there is another one.")
            return document


def _text(operation: Mapping[str, Any], name: str) -> str:
    value = operation.get(name)
    if not isinstance(value, str):
        raise _CannotApplyError(f"`{name}` must be a JSON pointer.")
    return value


def _value(operation: Mapping[str, Any]) -> Any:
    if "value" not in operation:
        raise _CannotApplyError("`value` is missing.")
    return operation["value"]


def _tokens(pointer: str) -> list[str]:
    if pointer == "":
        return []
    if not pointer.startswith("/"):
        raise _CannotApplyError("A JSON pointer is empty or begins with a slash.")
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]


def _get(document: Any, path: Sequence[str]) -> Any:
    for token in path:
        if isinstance(document, dict) and token in document:
            document = document[token]
        elif isinstance(document, list):
            document = document[_index(token, len(document) - 1)]
        else:
            raise _nowhere(token)
    return document


def _add(document: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _get(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(last, len(parent)), value)
    else:
        raise _nowhere(last)
    return document


def _replace(document: Any, path: Sequence[str], value: Any) -> Any:
    _get(document, path)
    if not path:
        return value
    parent, last = _get(document, path[:-1]), path[-1]
    parent[last if isinstance(parent, dict) else int(last)] = value
    return document


def _remove(document: Any, path: Sequence[str]) -> tuple[Any, Any]:
    """Return the document without the value, and the value."""
    if not path:
        raise _CannotApplyError("The whole document can't be removed.")
    value = _get(document, path)
    parent, last = _get(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        del parent[last]
    else:
        del parent[int(last)]
    return document, value


def _index(name: str, last: int) -> int:
    """Read an index of a list (RFC 6901): digits without leading zeros."""
    if not _INDEX.fullmatch(name):
        raise _CannotApplyError(f"`{name}` is no index of a list.")
    if len(name) > len(str(max(last, 0))) or int(name) > last:
        raise _CannotApplyError(f"The list has no element {name}.")
    return int(name)


def _nowhere(token: str) -> _CannotApplyError:
    return _CannotApplyError(f"There is nothing at `{token}`.")


def _same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal; true is no 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)
