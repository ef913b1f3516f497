"""docs/mapping.md says what the code does; its mappings can be read."""

import re
from pathlib import Path

import pytest

from app.domain.mapping.loading import read_mapping
from app.domain.mapping.model import EmissionModel, FieldModel, MappingModel
from app.domain.mapping.numbers import UNITS
from app.services.mappings import shipped_mappings

TEXT = (Path(__file__).parents[2] / "docs" / "mapping.md").read_text(encoding="utf-8")
MAPPINGS = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def section(heading: str) -> str:
    return TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def named(heading: str) -> set[str]:
    """The names in the first column of a section's tables."""
    first = re.findall(r"^\| (`[^|]*) \|", section(heading), re.MULTILINE)
    return {name for cell in first for name in re.findall(r"`(\w[\w-]*)`", cell)}


@pytest.mark.parametrize("number", range(len(MAPPINGS)))
def test_every_mapping_can_be_read(number: int) -> None:
    assert read_mapping(MAPPINGS[number]).source.startswith("/dms/")


def test_every_setting_is_described() -> None:
    assert named("Where a value comes from") | named("How it is read") == set(
        FieldModel.model_fields
    )
    assert named("A mapping") == set(EmissionModel.model_fields)
    keys = set(re.findall(r"^(?:# )?([a-z_]+):", "".join(MAPPINGS), re.MULTILINE))
    assert keys == set(MappingModel.model_fields)


def test_every_unit_is_named() -> None:
    (line,) = re.findall(r"^Units: (.*?)\. ", TEXT, re.MULTILINE)
    assert re.split(r"[,;] ", line) == list(UNITS)


def test_every_shipped_mapping_is_named() -> None:
    assert named("Shipped mappings") == set(shipped_mappings())
