import os
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import HIDDEN, PREFIX, Settings, describe, unknown_variables


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


def test_without_an_environment_the_service_listens_on_this_machine_alone() -> None:
    settings = Settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.listens_on_loopback
    assert settings.database_url is None
    assert not settings.sandbox


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("desk.example", False),
    ],
)
def test_loopback_is_told_from_other_addresses(host: str, *, local: bool) -> None:
    assert Settings(host=host).listens_on_loopback is local


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICELANE_CORS_ORIGINS", "https://a.example, https://b.example,")
    monkeypatch.setenv("SERVICELANE_WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8,::1/128")
    settings = Settings()
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.webhook_allowed_networks == (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICELANE_DATABASE_URL", "")
    assert Settings().database_url is None


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SERVICELANE_DATABASE_URL", "sqlite:///x"),
        ("SERVICELANE_SETUP_TOKEN", "short"),
        ("SERVICELANE_PORT", "70000"),
        ("SERVICELANE_LOG_LEVEL", "loud"),
        ("SERVICELANE_WEBHOOK_ALLOWED_NETWORKS", "everywhere"),
    ],
)
def test_what_makes_no_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError):
        Settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]


def test_the_data_folder_is_made_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/shop")
    assert Settings(data_dir=Path("~/data")).data_dir == Path("/home/shop/data")


def test_every_setting_is_told_with_value_default_source_and_description(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SERVICELANE_PORT", "8080")
    rows = {row.variable: row for row in describe(Settings(), os.environ)}
    assert set(rows) == {PREFIX + name.upper() for name in Settings.model_fields}
    assert all(row.description for row in rows.values())
    port = rows["SERVICELANE_PORT"]
    assert (port.value, port.default, port.source) == ("8080", "8000", "environment")
    host = rows["SERVICELANE_HOST"]
    assert (host.value, host.default, host.source) == ("127.0.0.1", "127.0.0.1", "default")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://desk:geheim@db:5432/desk", f"postgresql://desk:{HIDDEN}@db:5432/desk"),
        ("postgresql://desk@db/desk", "postgresql://desk@db/desk"),
        ("postgresql://db/desk", "postgresql://db/desk"),
        ("postgresql://db/desk?password=geheim", HIDDEN),
        ("postgresql:///desk", HIDDEN),
    ],
)
def test_secrets_are_never_told(monkeypatch: pytest.MonkeyPatch, url: str, shown: str) -> None:
    monkeypatch.setenv("SERVICELANE_DATABASE_URL", url)
    monkeypatch.setenv("SERVICELANE_SETUP_TOKEN", "geheim-geheim-geheim")
    settings = Settings()
    rows = {row.variable: row for row in describe(settings, os.environ)}
    assert rows["SERVICELANE_DATABASE_URL"].value == shown
    assert rows["SERVICELANE_SETUP_TOKEN"].value == HIDDEN
    assert "geheim" not in repr(settings)


def test_slips_of_the_pen_are_found() -> None:
    environment = {"SERVICELANE_PROT": "1", "SERVICELANE_PORT": "1", "PATH": "x"}
    assert unknown_variables(environment) == ["SERVICELANE_PROT"]
