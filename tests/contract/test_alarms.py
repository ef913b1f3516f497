"""The alarms that the documents give to Prometheus ask for what `/metrics` has."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from app.domain.access import LOCAL
from app.factory import open_factory
from app.services.time_source import MovableTimeSource
from app.settings import Settings
from tests.api.conftest import NOW
from tests.support.facts import opened
from tests.support.posting import post

DOCS = Path(__file__).parents[2] / "docs"
SELECTOR: Final = re.compile(r"(servicelane_\w+)(?:\{([^}]*)\})?")
MATCHER: Final = re.compile(r'(\w+)="([^"]*)"')


def rules(name: str) -> dict[str, str]:
    """The expressions of all alarms of a document."""
    text = (DOCS / name).read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for block in re.findall(r"```yaml\n(groups:.*?)```", text, re.DOTALL):
        for group in yaml.safe_load(block)["groups"]:
            found |= {rule["alert"]: rule["expr"] for rule in group["rules"]}
    return found


def selected(families: list[Metric], expression: str) -> list[float]:
    """The values that the selectors of an expression find; a label that is absent is empty."""
    return [
        sample.value
        for name, matchers in SELECTOR.findall(expression)
        for family in families
        for sample in family.samples
        if sample.name == name
        and all(
            sample.labels.get(label, "") == value for label, value in MATCHER.findall(matchers)
        )
    ]


async def scraped(database_url: str, *events: Any) -> list[Metric]:
    """The metrics two hours after some events came."""
    time_source = MovableTimeSource(NOW)
    settings = Settings(database_url=SecretStr(database_url), metrics_cache_seconds=0)
    async with open_factory(settings, time_source=time_source) as factory:
        await post(factory, *events)
        time_source.advance(timedelta(hours=2))
        body, _ = await factory.operations.metrics("", principal=LOCAL)
    return list(text_string_to_metric_families(body.decode()))


@pytest.mark.parametrize("document", ["quarantine.md", "operations.md"])
async def test_alarms_of_no_store_find_what_waits_there(database_url: str, document: str) -> None:
    asked = {name: rule for name, rule in rules(document).items() if "OfNoStore" in name}
    assert asked
    quiet = await scraped(database_url)
    assert [selected(quiet, rule) for rule in asked.values()] == [[] for _ in asked]
    waits = [opened(f"R{number}", store="NOWHERE") for number in range(21)]
    loud = await scraped(database_url, *waits)
    for rule in asked.values():
        (value,) = selected(loud, rule)
        bound = float(rule.split()[-1])
        assert value >= bound, rule
