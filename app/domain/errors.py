"""The failures that this service anticipates.

The tree, with the HTTP status that `app.problems` gives to each:

    DomainError
    ├── InvalidInputError         422  the input has faults, each with a pointer
    ├── IdempotencyConflictError  422  the Idempotency-Key was used for another request
    ├── StrictHandlingError       422  some event would lie in quarantine, so none is stored
    ├── MalformedBodyError        400  the body is not what its content type says
    ├── PayloadTooLargeError      413  the body or the batch is over its limit
    ├── UnauthenticatedError      401  no key, an unknown one or a revoked one
    ├── ForbiddenError            403  the key lacks the scope or the store
    ├── NotFoundError             404  there is no such thing
    ├── ConflictError             409  the state of the subject forbids the command
    ├── VersionMismatchError      412  `If-Match` names another version than the actual one
    └── UnavailableError          503  something that is needed is away; try again later

Anything else that is raised is a defect and answered as a plain 500.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec
from typing_extensions import override


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with an input.

    Attributes:
        pointer: JSON pointer (RFC 6901) into the input; "" is the whole of it.
        code: Stable and kebab-case, for programs.
        detail: One sentence, for people.
    """

    pointer: str
    code: str
    detail: str


class DomainError(Exception):
    """Base of everything that services and domain refuse on purpose.

    `code` is the last segment of the problem's `type`; `str(error)` is its `detail`.
    """

    code: ClassVar[str]

    def fields(self) -> Mapping[str, object]:
        """Members that the problem document carries besides the standard ones."""
        return {}


class InvalidInputError(DomainError):
    """The input is well-formed but wrong; every fault is listed."""

    code = "invalid-input"

    def __init__(self, faults: Sequence[Fault], detail: str | None = None) -> None:
        super().__init__(detail or _summary(faults))
        self.faults = list(faults)

    @classmethod
    def at(cls, pointer: str, code: str, detail: str) -> "InvalidInputError":
        """Make the error for a single fault."""
        return cls([Fault(pointer, code, detail)])


class IdempotencyConflictError(DomainError):
    """The Idempotency-Key was already used, for a request with another content."""

    code = "idempotency-conflict"

    def __init__(self, key: str) -> None:
        super().__init__(
            "This Idempotency-Key was used before, for a request with another content."
        )
        self.key = key


class StrictHandlingError(DomainError):
    """The caller wants all of a request stored or nothing, and some of it would be quarantined.

    Attributes:
        answer: What the answer would have been, as far as it can be told without storing.
    """

    code = "strict-handling"

    def __init__(self, *, quarantined: int, of: int, answer: Mapping[str, object]) -> None:
        super().__init__(
            f"{quarantined} of {of} events would be quarantined, so none is stored. `results` "
            "says what is wrong."
        )
        self.answer = answer

    @override
    def fields(self) -> Mapping[str, object]:
        return self.answer


class MalformedBodyError(DomainError):
    """The body cannot be read at all: not UTF-8, not JSON, not the declared content type."""

    code = "malformed-body"


class PayloadTooLargeError(DomainError):
    """The body or the number of its elements is over the limit; send it in parts."""

    code = "payload-too-large"

    def __init__(self, detail: str, *, limit: int) -> None:
        super().__init__(detail)
        self.limit = limit

    @override
    def fields(self) -> Mapping[str, object]:
        return {"limit": self.limit}


class UnauthenticatedError(DomainError):
    """The caller did not say who it is, or said so with a key that does not count."""

    code = "unauthenticated"


class ForbiddenError(DomainError):
    """The caller is known but may not do this."""

    code = "forbidden"


class NotFoundError(DomainError):
    """There is no such thing, or none that the caller may know of."""

    code = "not-found"


class ConflictError(DomainError):
    """The state of the subject forbids the command.

    Attributes:
        state: The state that forbids it, None where there is no one word for it.
    """

    code = "conflict"

    def __init__(self, detail: str, *, state: str | None = None) -> None:
        super().__init__(detail)
        self.state = state

    @override
    def fields(self) -> Mapping[str, object]:
        return {} if self.state is None else {"state": self.state}


class VersionMismatchError(DomainError):
    """The subject has moved on since the version that `If-Match` names."""

    code = "version-mismatch"

    def __init__(self, *, expected_version: int, actual_version: int) -> None:
        super().__init__(f"Expected version {expected_version}, found {actual_version}.")
        self.expected_version = expected_version
        self.actual_version = actual_version

    @override
    def fields(self) -> Mapping[str, object]:
        return {"actual_version": self.actual_version}


class UnavailableError(DomainError):
    """Something that is needed is away for the moment.

    Attributes:
        retry_after: Whole seconds after which another try makes sense.
    """

    code = "unavailable"

    def __init__(self, detail: str, *, retry_after: int = 2) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


def _summary(faults: Sequence[Fault]) -> str:
    """Say the first fault and how many more there are."""
    if not faults:
        return "The input is invalid."
    more = len(faults) - 1
    return faults[0].detail + (f" ({more} more)" if more else "")
