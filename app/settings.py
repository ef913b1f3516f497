"""Every setting of the service: read once from `SERVICELANE_*`, then frozen.

Only main, cli, scheduler and factory read this; everything below is handed plain values.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit, urlunsplit

import platformdirs
from pydantic import BeforeValidator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX: Final = "SERVICELANE_"

HIDDEN: Final = "********"


def _split(value: Any) -> Any:
    """Take a list as people write it in an environment variable: `a, b`."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _default_data_dir() -> Path:
    """The user's data folder; root's is a system folder, not one below its home."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/servicelane")
    return platformdirs.user_data_path("servicelane", appauthor=False)


class Settings(BaseSettings):
    """The settings of one process. The description of each is what `servicelane settings` says."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore"
    )

    # Where it listens
    host: str = Field(
        "127.0.0.1",
        description="Address to listen on. Any but a loopback address needs a key first "
        "(`servicelane keys issue`) or SERVICELANE_SETUP_TOKEN.",
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        (),
        description="Addresses of proxies whose X-Forwarded-For and X-Forwarded-Proto are "
        "believed, separated by commas.",
    )
    root_path: str = Field("", description="Path below which a proxy shows the service.")
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        (), description="Origins of browser front-ends, separated by commas; `*` is any."
    )

    # Where it keeps things
    data_dir: Path = Field(
        default_factory=_default_data_dir,
        description="Folder of the embedded database. Not used with a database URL.",
    )
    database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL 15 or newer, as postgresql://user:password@host:port/name. "
        "Without it the embedded server is started in the data folder.",
    )
    inbox_dir: Path | None = Field(
        None,
        description="Folder with a folder per store, named by its code: files that are put there "
        "are imported. Without it there is no inbox.",
    )
    log_pool_size: int = Field(
        4, ge=1, le=100, description="Connections for the event log and the hot reads."
    )
    sql_pool_size: int = Field(
        4, ge=1, le=100, description="Connections for everything else; twice as many in a rush."
    )

    # Who may use it
    setup_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="Bearer token with all rights, for setting up. Unset it when keys are issued.",
    )
    key_cache_seconds: float = Field(
        3.0,
        ge=0,
        le=60,
        description="How long a key is believed before it is looked up again; a revoked key may "
        "still work for as long.",
    )
    webhook_allowed_networks: Annotated[
        tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_split)
    ] = Field(
        (),
        description="Networks, separated by commas, that webhooks may reach although they are "
        "private, loopback or link-local, such as 10.1.0.0/16.",
    )

    # What it takes
    max_body_bytes: int = Field(
        10 * 1024 * 1024, ge=1024, description="Largest body of a request, in bytes."
    )
    max_batch: int = Field(10_000, ge=1, description="Most events in one batch.")
    max_line_bytes: int = Field(
        1024 * 1024,
        ge=1024,
        description="Longest line of a stream of events that is held, in bytes. Of a longer one "
        "the first bytes go to quarantine.",
    )
    max_nesting: int = Field(32, ge=4, le=200, description="Deepest nesting of an unknown field.")
    max_text_length: int = Field(
        10_000, ge=256, description="Longest text in an event's unknown fields, in characters."
    )
    max_clock_skew_seconds: int = Field(
        600, ge=0, description="How far ahead of now the time of an event may be."
    )

    max_held_requests: int = Field(
        500, ge=0, description="Most requests that wait for news of a log at once, per process."
    )

    # When it works
    clock_interval_seconds: float = Field(
        1.0, gt=0, description="How often clocks that fall due are looked for."
    )
    feed_interval_seconds: float = Field(
        30.0, gt=0, description="How often it is looked for feeds that fell silent."
    )
    webhook_interval_seconds: float = Field(
        1.0, gt=0, description="How often webhook deliveries that are due are looked for."
    )
    webhook_timeout_seconds: float = Field(
        15.0, gt=0, description="How long a webhook's receiver may take to answer."
    )
    inbox_interval_seconds: float = Field(
        5.0, gt=0, description="How often the folders of the inbox are looked through."
    )
    inbox_settle_seconds: float = Field(
        10.0,
        ge=0,
        description="How long a file of the inbox must not have changed before it is taken.",
    )
    refresh_interval_seconds: float = Field(
        60.0, gt=0, description="How often facts and current KPI values take in what came."
    )
    nightly_hour: int = Field(
        2, ge=0, le=23, description="Hour of the store's day at which its night is run."
    )
    nightly_interval_seconds: float = Field(
        60.0, gt=0, description="How often it is checked whether a store's night is due."
    )
    sandbox: bool = Field(
        default=False,
        description="Let PUT /v1/sandbox/clock move the service's time. Never in production.",
    )

    # What it tells
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level that is logged."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="Form of the log; `auto` is console on a terminal, else json."
    )

    metrics_cache_seconds: float = Field(
        15.0,
        ge=0,
        le=600,
        description="How long `/metrics` tells the same figures of the database before it reads "
        "them again.",
    )

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            scheme = urlsplit(value.get_secret_value()).scheme
            if scheme not in {"postgresql", "postgres"}:
                raise ValueError("a database URL begins with postgresql://")
        return value

    @field_validator("data_dir", "inbox_dir")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @property
    def listens_on_loopback(self) -> bool:
        """Whether nobody but this machine can reach the service."""
        try:
            return ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def max_clock_skew(self) -> timedelta:
        """How far ahead of now the time of an event may be."""
        return timedelta(seconds=self.max_clock_skew_seconds)


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as it is shown to the operator; secrets are hidden."""

    variable: str
    default: str
    value: str
    source: Literal["environment", "default"]
    description: str


def describe(settings: Settings, environment: Mapping[str, str]) -> Iterator[SettingRow]:
    """Tell each setting in order of definition."""
    given = {name.upper() for name, value in environment.items() if value}
    for name, field in type(settings).model_fields.items():
        variable = PREFIX + name.upper()
        yield SettingRow(
            variable=variable,
            default=_shown(field.get_default(call_default_factory=True, validated_data={})),
            value=_shown(getattr(settings, name)),
            source="environment" if variable in given else "default",
            description=field.description or "",
        )


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Names that look like settings but are none: most likely a slip of the pen. Sorted."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    return sorted(
        name
        for name in environment
        if name.upper().startswith(PREFIX) and name.upper() not in known
    )


def _shown(value: object) -> str:
    """Write a value as one would put it into the environment, secrets hidden."""
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return _without_password(value.get_secret_value())
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _without_password(secret: str) -> str:
    """Hide a secret; of a URL only its password, so that one sees which database is meant."""
    parts = urlsplit(secret)
    if not parts.scheme or not parts.hostname or parts.query:
        return HIDDEN
    user = f"{parts.username}:{HIDDEN}@" if parts.password else ""
    if not user and parts.username:
        user = f"{parts.username}@"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, user + host, parts.path, "", ""))
