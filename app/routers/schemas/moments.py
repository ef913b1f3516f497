"""Times in requests."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime


def _known_in_utc(moment: datetime) -> datetime:
    """Refuse what no calendar of UTC has: the first and last hours of all time, elsewhere."""
    try:
        moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies beyond the years 1 to 9999 in UTC") from None
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_known_in_utc)]
"""A time with its offset, as the database can compare it."""
