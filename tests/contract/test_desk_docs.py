"""What the documents say of suggestions, reasons and metrics is what the code has."""

import re
from pathlib import Path

from pydantic import SecretStr

from app.domain.access import LOCAL
from app.domain.events.envelope import Reason
from app.domain.quarantine import KEY_NOT_BOUND
from app.domain.suggestions.suggestion import (
    SuggestionName as Name,
)
from app.factory import open_factory
from app.settings import Settings

ROOT = Path(__file__).parents[2]

ADVICE = {
    Name.DISCARD_TRIVIAL,
    Name.MAKE_STORE,
    Name.BIND_KEY,
    Name.WAIT_FOR_TIME,
    Name.WAIT_FOR_TARGET,
    Name.WAIT_FOR_UPGRADE,
    Name.MEND_MAPPING,
}
"""What can't be applied, so that nobody looks up its name."""


def _first_cells(name: str, heading: str) -> list[str]:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    section = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row.split(" | ")[0])]


def test_every_suggestion_that_can_be_applied_is_documented() -> None:
    documented = _first_cells("quarantine.md", "Suggestions")
    assert sorted(documented) == sorted({*Name} - ADVICE)


def test_every_reason_says_what_to_do() -> None:
    documented = _first_cells("quarantine.md", "What a reason means, and what to do")
    assert {*documented} == {*Reason, KEY_NOT_BOUND}
    assert [name for name in dict.fromkeys(documented) if name != KEY_NOT_BOUND] == [*Reason]


async def test_every_metric_is_documented(database_url: str) -> None:
    settings = Settings(database_url=SecretStr(database_url))
    async with open_factory(settings) as factory:
        body, _ = await factory.operations.metrics("", principal=LOCAL)
    told = set(re.findall(r"^# TYPE servicelane_(\w+) ", body.decode(), re.MULTILINE))
    told = {name for name in told if not name.endswith("_created")}
    assert {*_first_cells("operations.md", "Metrics")} == told
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for name in re.findall(r"servicelane_(\w+)[{)\[ >]", text):
        base = name.removesuffix("_count")
        assert base in told or name in told or name == "app", f"an alarm asks for {name}"
