"""What the routes of commands share: who calls under which conditions, and the raw body."""

from typing import Annotated, Any

import orjson
from fastapi import Depends, Header, Request, Response

from app.domain.errors import InvalidInputError, MalformedBodyError
from app.services.desk import Conditions
from app.services.units import Answer

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="Version of the subject; 412 if it moved on since 版本条件",
    ),
]


async def _conditions(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=255,
            description="Done once under this key; a repeat gets the first answer 幂等键",
        ),
    ] = None,
    if_match: IfMatch = None,
) -> Conditions:
    content = b"%b %b\n%b" % (
        request.method.encode(),
        request.url.path.encode(),
        await request.body(),
    )
    return Conditions(idempotency_key, version_of(if_match), content)


def version_of(if_match: str | None) -> int | None:
    """Read the version that a header names; None where it names none."""
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().strip('"')
    if not text.isascii() or not text.isdigit():
        raise InvalidInputError.at(
            "/header/If-Match", "bad-format", 'If-Match holds a version, such as "1041".'
        )
    return int(text)


async def _raw_body(request: Request) -> dict[str, Any]:
    """Read the JSON object that FastAPI checks against the route's model.

    Raises:
        MalformedBodyError: It is JSON to Python alone: NaN, or a lone surrogate.
    """
    try:
        body: dict[str, Any] = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise MalformedBodyError(f"The body is not JSON: {error}.") from None
    return body


ConditionsDep = Annotated[Conditions, Depends(_conditions)]
RawBodyDep = Annotated[dict[str, Any], Depends(_raw_body)]


def answer_of(answer: Answer) -> Response:
    """Answer what a command said, as it was said the first time."""
    return Response(
        answer.body,
        status_code=answer.status,
        media_type="application/json",
        headers={"ETag": f'"{orjson.loads(answer.body)["version"]}"'},
    )


def etag(response: Response, version: int) -> None:
    """Name the version of what is answered, for `If-Match`."""
    response.headers["ETag"] = f'"{version}"'
