"""What the names of files say, and what they become."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.imports import is_left_alone, names_for, storable_name

NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=300
)


@pytest.mark.parametrize(
    "name",
    [
        ".x.csv",
        "~$清单.xlsx",
        "a.part",
        "a.TMP",
        "a.csv.crdownload",
        "a.csv.done",
        "Thumbs.db",
        "Mapping.YAML",
    ],
)
def test_what_is_no_finished_file_is_left_alone(name: str) -> None:
    assert is_left_alone(name)


@pytest.mark.parametrize("name", ["a.csv", "done.csv", "清单 (1).xlsx", "part", "a.done.csv"])
def test_files_of_data_are_taken(name: str) -> None:
    assert not is_left_alone(name)


@given(NAMES, st.sampled_from(("", ".xlsx", ".faults.ndjson")))
def test_every_name_fits_and_is_another_one(name: str, suffix: str) -> None:
    found = list(islice(names_for(name, suffix=suffix), 12))
    assert len(set(found)) == 12
    assert all(0 < len(candidate.encode()) <= 255 for candidate in found)
    assert all(candidate.endswith(suffix) for candidate in found)
    if not suffix and len(name.encode()) <= 240:
        assert found[0] == name


def test_names_of_any_bytes_can_be_stored() -> None:
    assert storable_name("a\udcff\0b") == "a?b"
