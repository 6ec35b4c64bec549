"""Settings: read once from the environment at a door, passed down as one frozen value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType

from riskcast.core.errors import SettingsError

PREFIX = "RISKCAST_"
LOOPBACK = "127.0.0.1"
SOURCES = ("sample", "files", "live")
MARKETS = ("yahoo", "stooq", "tiingo", "alphavantage")
PLACES = ("here", "docker", "ecs")
REGIMES = ("terciles", "50-85")
MAIL_TLS = ("starttls", "tls", "none")


def _setting(default: str, doc: str) -> str:
    return field(default=default, metadata=MappingProxyType({"doc": doc}))


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, each read from ``RISKCAST_<NAME>``; all are text in the environment.

    Raises
    ------
    SettingsError
        If a value is impossible, or an unknown ``RISKCAST_`` name is set (a typo would
        otherwise be silently ignored).
    """

    home: str = _setting(".riskcast", "Folder for everything the installation writes.")
    source: str = _setting("sample", "Where data comes from: sample (bundled), files or live.")
    files: str = _setting("", "Folder of CSV or Parquet files when source is files.")
    market: str = _setting(
        "yahoo", "Vendor of live bars: yahoo, stooq, tiingo or alphavantage (by key)."
    )
    market_url: str = _setting(
        "", "Other address of the vendor of bars, for a proxy or mirror; not for yahoo."
    )
    fred_url: str = _setting("", "Other address of FRED and ALFRED, for a proxy or mirror.")
    pmi_url: str = _setting(
        "", "ISM PMI: another DBnomics-style address, or a CSV file with columns month, value."
    )
    lake: str = _setting("", "Lake root: a folder or s3://bucket/prefix. Default: <home>/lake.")
    asset: str = _setting("", "Symbol forecast. Default: SPY, or GSPC for the sample.")
    mlflow: str = _setting("", "MLflow tracking URI. Default: SQLite in <home>.")
    place: str = _setting(
        "here",
        "Where a step of a DAG runs: here (subprocess), docker (container) or ecs (Fargate).",
    )
    image: str = _setting("riskcast:latest", "Image of a step's container when place is docker.")
    ecs_cluster: str = _setting("", "Cluster of a step's task when place is ecs.")
    ecs_task: str = _setting(
        "riskcast", "Task definitions when place is ecs: <this>-<pipeline>-<step>."
    )
    ecs_subnets: str = _setting("", "Subnets of a step's task, separated by commas.")
    ecs_security_groups: str = _setting("", "Its security groups, separated by commas.")
    ecs_log_group: str = _setting("", "CloudWatch log group shown with a task's log. Empty: none.")
    host: str = _setting(
        "127.0.0.1", "Address nginx listens on; every other server stays on loopback."
    )
    api_port: str = _setting("8080", "Port of nginx, the one published door to the API.")
    blue_port: str = _setting("8001", "Port of the blue model server.")
    green_port: str = _setting("8002", "Port of the green model server.")
    airflow_port: str = _setting("8085", "Port of the Airflow API server and UI.")
    mlflow_port: str = _setting("5050", "Port of the MLflow server.")
    redis_port: str = _setting("6390", "Port of Redis.")
    slot: str = _setting("blue", "Colour of this model server process.")
    redis: str = _setting(
        "", "Redis URL of the online store. Empty: SQLite in <home>, and servers read the lake."
    )
    dynamodb_table: str = _setting(
        "", "DynamoDB table that forecasts are mirrored to. Empty: none."
    )
    regimes: str = _setting(
        "terciles", "Bounds of calm and risk_off among past labels: terciles or 50-85 (percent)."
    )
    cores: str = _setting("2", "Processor cores a training step may use.")
    mail_host: str = _setting("", "SMTP server of mails, SES's included. Empty: no mail is sent.")
    mail_port: str = _setting("587", "Port of the SMTP server.")
    mail_tls: str = _setting("starttls", "How SMTP is protected: starttls, tls or none.")
    mail_ca: str = _setting("", "File of certificates to trust instead of the system's.")
    mail_user: str = _setting("", "Login of the SMTP server. Empty: none.")
    mail_password_file: str = _setting("", "File that holds the password of the login.")
    mail_from: str = _setting("riskcast@localhost", "Sender of mails.")
    mail_to: str = _setting("", "Recipients of mails, separated by commas.")

    def __post_init__(self) -> None:
        for name, choices in (
            ("source", SOURCES),
            ("market", MARKETS),
            ("place", PLACES),
            ("regimes", REGIMES),
            ("mail_tls", MAIL_TLS),
        ):
            value = getattr(self, name)
            if value not in choices:
                raise SettingsError(f"{PREFIX}{name.upper()}={value!r}: expected one of {choices}")
        if self.market_url and self.market == "yahoo":
            raise SettingsError(
                "RISKCAST_MARKET_URL is not used by RISKCAST_MARKET=yahoo; unset one of them"
            )
        for name in ("market_url", "fred_url"):
            value = getattr(self, name)
            if value and not value.startswith(("http://", "https://")):
                raise SettingsError(f"{PREFIX}{name.upper()}={value!r} is no http(s) address")
        if self.source == "files" and not self.files:
            raise SettingsError("RISKCAST_SOURCE=files needs RISKCAST_FILES=<folder>")
        self._check_mail()
        self._check_place()
        for name in (
            "api_port",
            "blue_port",
            "green_port",
            "airflow_port",
            "mlflow_port",
            "redis_port",
            "cores",
            "mail_port",
        ):
            value = getattr(self, name)
            if not value.isdigit() or not 0 < int(value) < 65536:
                raise SettingsError(f"{PREFIX}{name.upper()}={value!r} is no number in 1-65535")

    def _check_place(self) -> None:
        if self.place != "ecs":
            return
        for name in ("ecs_cluster", "ecs_subnets", "ecs_security_groups"):
            if not getattr(self, name):
                raise SettingsError(f"RISKCAST_PLACE=ecs needs {PREFIX}{name.upper()}")
        if not self.lake.startswith("s3://"):
            raise SettingsError("RISKCAST_PLACE=ecs needs RISKCAST_LAKE=s3://bucket/prefix")

    def _check_mail(self) -> None:
        if self.mail_host and not self.mail_to:
            raise SettingsError("RISKCAST_MAIL_HOST needs RISKCAST_MAIL_TO=<addresses>")
        if self.mail_user and not self.mail_password_file:
            raise SettingsError("RISKCAST_MAIL_USER needs RISKCAST_MAIL_PASSWORD_FILE=<file>")
        if self.mail_user and self.mail_tls == "none" and self.mail_host != LOOPBACK:
            raise SettingsError("RISKCAST_MAIL_TLS=none would send the password in the clear")

    @property
    def live(self) -> bool:
        """Whether data keeps arriving, so that the wall clock is the clock."""
        return self.source not in ("sample", "files")

    @property
    def mails(self) -> bool:
        """Whether mails are sent at all."""
        return bool(self.mail_host)

    @property
    def mail_recipients(self) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.mail_to.split(",") if part.strip())

    @property
    def home_path(self) -> Path:
        return Path(self.home).absolute()

    @property
    def lake_root(self) -> str:
        return self.lake or str(self.home_path / "lake")

    @property
    def published_root(self) -> str:
        """Where plain Parquet for other tools is published."""
        return self.lake_root.rstrip("/") + "/published"

    @property
    def asset_symbol(self) -> str:
        return self.asset or ("GSPC" if self.source == "sample" else "SPY")

    @property
    def cache_path(self) -> Path:
        """Folder of answers kept while a fetch is under way."""
        return self.home_path / "cache"

    @property
    def mlflow_uri(self) -> str:
        return self.mlflow or f"sqlite:///{self.home_path / 'mlflow.db'}"

    @property
    def spool_path(self) -> Path:
        """Folder of answers on their way to the lake, one folder a slot."""
        return self.home_path / "spool"

    @property
    def keys_path(self) -> Path:
        """Folder of generated secrets, each a 0600 file."""
        return self.home_path / "keys"


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Build the settings from the environment.

    Names that start with ``RISKCAST_`` but are no setting are refused, except
    ``RISKCAST_BENCH_DATA``, which only tests and benchmarks read.
    """
    environ = os.environ if environ is None else environ
    known = {field.name for field in fields(Settings)}
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX) and name != "RISKCAST_BENCH_DATA"
    }
    if unknown := sorted(set(given) - known):
        names = ", ".join(PREFIX + name.upper() for name in unknown)
        raise SettingsError(f"unknown setting {names}; .env.example lists them all")
    return Settings(**given)
