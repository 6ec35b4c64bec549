"""Settings: read once from the environment at a door, passed down as one frozen value."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType

from riskcast.core.errors import SettingsError

PREFIX = "RISKCAST_"
LOOPBACK = "127.0.0.1"
MOST_CANARY = 50  # percent; a share above it would leave the proven model the smaller one
REGIMES = ("terciles", "50-85", "clusters")

Fault = Callable[[str], str]  # what is wrong with a value; nothing, if it may be


def _none(_value: str) -> str:
    return ""


def _setting(default: str, doc: str, fault: Fault = _none) -> str:
    return field(default=default, metadata=MappingProxyType({"doc": doc, "fault": fault}))


def _one_of(*choices: str) -> Fault:
    return lambda value: "" if value in choices else f"expected one of {choices}"


def _address(value: str) -> str:
    return "" if not value or value.startswith(("http://", "https://")) else "no http(s) address"


def _whole(value: str) -> str:
    possible = value.isascii() and value.isdigit() and 0 < int(value) < 65536
    return "" if possible else "no number in 1-65535"


def _number(value: str) -> str:
    return "" if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", value) else "no number, e.g. 0.5"


def _count(value: str) -> str:
    return "" if re.fullmatch(r"\d{1,6}", value) else "no whole number, e.g. 20"


def _shift(value: str) -> str:
    right = not value or re.fullmatch(r"\d{4}-\d{2}-\d{2}:\d{1,3}(\.\d{1,3})?", value)
    return "" if right else "no session:factor, e.g. 2018-10-01:4"


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
    keys: str = _setting("", "Folder of keys and passwords. Default: <home>/keys.")
    source: str = _setting(
        "sample",
        "Where data comes from: sample (bundled), files or live.",
        _one_of("sample", "files", "live"),
    )
    files: str = _setting("", "Folder of CSV or Parquet files when source is files.")
    sample_shift: str = _setting(
        "",
        "For demonstrations: session:factor, e.g. 2018-10-01:4. From then on every move of the "
        "sample's asset is so many times as large.",
        _shift,
    )
    market: str = _setting(
        "yahoo",
        "Vendor of live bars: yahoo, stooq, tiingo or alphavantage (by key).",
        _one_of("yahoo", "stooq", "tiingo", "alphavantage"),
    )
    market_url: str = _setting(
        "", "Other address of the vendor of bars, for a proxy or mirror; not for yahoo.", _address
    )
    fred_url: str = _setting(
        "", "Other address of FRED and ALFRED, for a proxy or mirror.", _address
    )
    pmi_url: str = _setting(
        "", "ISM PMI: another DBnomics-style address, or a CSV file with columns month, value."
    )
    lake: str = _setting("", "Lake root: a folder or s3://bucket/prefix. Default: <home>/lake.")
    asset: str = _setting("", "Symbol forecast. Default: SPY, or GSPC for the sample.")
    mlflow: str = _setting("", "MLflow tracking URI. Default: SQLite in <home>.")
    model_key: str = _setting(
        "",
        "Public key file that models must be signed for. Default: <home>/keys/model-signing.pub.",
    )
    mlflow_user: str = _setting(
        "", "User at the MLflow server; the password lies in <keys>/mlflow-<user>."
    )
    place: str = _setting(
        "here",
        "Where a step of a DAG runs: here (subprocess), docker (the runner) or ecs (Fargate).",
        _one_of("here", "docker", "ecs"),
    )
    runner_url: str = _setting(
        "http://127.0.0.1:8090",
        "Address of the runner (riskcast.worker) that steps are sent to when place is docker.",
        _address,
    )
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
    api_port: str = _setting("8080", "Port of nginx, the one published door to the API.", _whole)
    tls_certificate: str = _setting(
        "", "Certificate chain (PEM) of nginx. Empty: no TLS. Given, the plain port is loopback's."
    )
    tls_key: str = _setting("", "Its private key (PEM).")
    tls_port: str = _setting(
        "8443", "Port of nginx for https, when there is a certificate.", _whole
    )
    blue_port: str = _setting("8001", "Port of the blue model server.", _whole)
    green_port: str = _setting("8002", "Port of the green model server.", _whole)
    blue_url: str = _setting(
        "",
        "Address of the blue model server as rollouts reach it. Default: its port here.",
        _address,
    )
    green_url: str = _setting(
        "",
        "Address of the green model server as rollouts reach it. Default: its port here.",
        _address,
    )
    airflow_port: str = _setting("8085", "Port of the Airflow API server and UI.", _whole)
    mlflow_port: str = _setting("5050", "Port of the MLflow server.", _whole)
    redis_port: str = _setting("6390", "Port of Redis.", _whole)
    dashboard_port: str = _setting("8501", "Port of the dashboard.", _whole)
    inbox_port: str = _setting("8025", "Port of the page that shows the stack's own mails.", _whole)
    smtp_port: str = _setting("2525", "Port of the stack's own mail server.", _whole)
    api_url: str = _setting(
        "",
        "Address of the API as others of the stack reach it. Default: nginx on this machine.",
        _address,
    )
    public_url: str = _setting(
        "",
        "Address of nginx as readers of mails reach it. Default: nginx on this machine.",
        _address,
    )
    cloudwatch: str = _setting(
        "", "CloudWatch namespace that verdicts of monitoring are published to. Empty: none."
    )
    slot: str = _setting("blue", "Colour of this model server process.")
    router: str = _setting(
        "nginx", "What moves traffic between the colours: nginx or alb.", _one_of("nginx", "alb")
    )
    alb_rules: str = _setting(
        "", "With router alb: product=ARN of its listener rule, commas between several."
    )
    alb_blue: str = _setting("", "With router alb: ARN of the target group of the blue slot.")
    alb_green: str = _setting("", "With router alb: ARN of the target group of the green slot.")
    alb_url: str = _setting(
        "", "With router alb: address of the load balancer, to see who answers. Empty: not looked."
    )
    canary_steps: str = _setting(
        "5,25,50", "Shares of traffic, in percent, that a new model may get before all; at most 50."
    )
    rollout_step: str = _setting(
        "5", "Seconds of mirrored requests, and of each canary share, of a rollout.", _number
    )
    rollout_bake: str = _setting(
        "10", "Seconds that all traffic is watched before a new model is champion.", _number
    )
    rollout_max_errors: str = _setting(
        "0.01", "Share of failed requests above which a rollout is aborted.", _number
    )
    rollout_max_slowdown: str = _setting(
        "3", "95th percentile of latency over the serving colour's that aborts a rollout.", _number
    )
    rollout_max_divergence: str = _setting(
        "0.5", "Difference of ln rv between the colours that aborts a rollout.", _number
    )
    approval: str = _setting(
        "none",
        "Who must allow a rollout: none, or tag (approved=<who> on the version in MLflow).",
        _one_of("none", "tag"),
    )
    redis: str = _setting(
        "", "Redis URL of the online store. Empty: SQLite in <home>, and servers read the lake."
    )
    dynamodb_table: str = _setting(
        "", "DynamoDB table that forecasts are mirrored to. Empty: none."
    )
    regimes: str = _setting(
        "terciles",
        "Bounds of calm and risk_off: terciles, 50-85 (percent of past labels) or clusters.",
        _one_of(*REGIMES),
    )
    cores: str = _setting("2", "Processor cores a training step may use.", _whole)
    limit_missing: str = _setting(
        "0.05", "Share of a month's values of a column that may lack.", _number
    )
    limit_psi: str = _setting("0.2", "Fixed PSI limit shown beside the calibrated bound.", _number)
    limit_drift_share: str = _setting(
        "0.3", "Share of drifted columns that asks for a retraining.", _number
    )
    limit_rmse: str = _setting(
        "0.2", "Share by which realised RMSE may exceed what was promised.", _number
    )
    cool_down: str = _setting(
        "20", "Sessions after a retraining or rollback before the next.", _count
    )
    retrains: str = _setting("4", "Retrainings a year that drift may ask for.", _count)
    mail_by: str = _setting(
        "smtp",
        "What sends mails: smtp, or ses (the API of Amazon SES, by the role's permission).",
        _one_of("smtp", "ses"),
    )
    mail_host: str = _setting("", "SMTP server of mails. Empty, with smtp: no mail is sent.")
    mail_port: str = _setting("587", "Port of the SMTP server.", _whole)
    mail_tls: str = _setting(
        "starttls",
        "How SMTP is protected: starttls, tls or none.",
        _one_of("starttls", "tls", "none"),
    )
    mail_ca: str = _setting("", "File of certificates to trust instead of the system's.")
    mail_user: str = _setting("", "Login of the SMTP server. Empty: none.")
    mail_password_file: str = _setting("", "File that holds the password of the login.")
    mail_from: str = _setting("riskcast@localhost", "Sender of mails.")
    mail_to: str = _setting("", "Recipients of mails, separated by commas.")

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if wrong := each.metadata["fault"](value):
                raise SettingsError(f"{PREFIX}{each.name.upper()}={value!r}: {wrong}")
        self._check_source()
        self._check_routing()
        self._check_mail()
        self._check_place()

    def _check_source(self) -> None:
        if self.market_url and self.market == "yahoo":
            raise SettingsError(
                "RISKCAST_MARKET_URL is not used by RISKCAST_MARKET=yahoo; unset one of them"
            )
        if self.source == "files" and not self.files:
            raise SettingsError("RISKCAST_SOURCE=files needs RISKCAST_FILES=<folder>")

    def _check_routing(self) -> None:
        named = self.alb_rule_arns and self.alb_blue and self.alb_green
        if self.router == "alb" and not named:
            raise SettingsError(
                "RISKCAST_ROUTER=alb needs RISKCAST_ALB_RULES as product=ARN, RISKCAST_ALB_BLUE "
                "and RISKCAST_ALB_GREEN"
            )
        if not self.canary_shares or self.canary_shares[-1] > MOST_CANARY:
            raise SettingsError(
                f"RISKCAST_CANARY_STEPS={self.canary_steps!r}: give whole percents from 1 to "
                f"{MOST_CANARY}, rising, with commas between, such as 5,25,50"
            )

    def _check_place(self) -> None:
        if self.place != "ecs":
            return
        for name in ("ecs_cluster", "ecs_subnets", "ecs_security_groups"):
            if not getattr(self, name):
                raise SettingsError(f"RISKCAST_PLACE=ecs needs {PREFIX}{name.upper()}")
        if not self.lake.startswith("s3://"):
            raise SettingsError("RISKCAST_PLACE=ecs needs RISKCAST_LAKE=s3://bucket/prefix")

    def _check_mail(self) -> None:
        if self.mails and not self.mail_to:
            name = "MAIL_BY=ses" if self.mail_by == "ses" else "MAIL_HOST"
            raise SettingsError(f"{PREFIX}{name} needs RISKCAST_MAIL_TO=<addresses>")
        if self.mail_by == "ses" and self.mail_host:
            raise SettingsError("RISKCAST_MAIL_BY=ses uses no RISKCAST_MAIL_HOST; unset one")
        if self.mail_user and not self.mail_password_file:
            raise SettingsError("RISKCAST_MAIL_USER needs RISKCAST_MAIL_PASSWORD_FILE=<file>")
        if self.mail_user and self.mail_tls == "none" and self.mail_host != LOOPBACK:
            raise SettingsError("RISKCAST_MAIL_TLS=none would send the password in the clear")

    @property
    def live(self) -> bool:
        """Whether data keeps arriving, so that the wall clock is the clock."""
        return self.source not in ("sample", "files")

    @property
    def canary_shares(self) -> tuple[int, ...]:
        """Rising shares in percent; empty where the setting is not a list of them."""
        given = [part.strip() for part in self.canary_steps.split(",")]
        shares = tuple(int(part) for part in given if part.isdigit() and len(part) < 4)
        rising = all(low < high for low, high in zip((0, *shares), shares, strict=False))
        return shares if rising and len(shares) == len(given) else ()

    @property
    def alb_rule_arns(self) -> dict[str, str]:
        """Product to the ARN of its listener rule."""
        pairs = (part.strip().partition("=") for part in self.alb_rules.split(",") if part.strip())
        return {product: arn for product, _, arn in pairs}

    @property
    def mails(self) -> bool:
        """Whether mails are sent at all."""
        return bool(self.mail_host) or self.mail_by == "ses"

    @property
    def mail_recipients(self) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.mail_to.split(",") if part.strip())

    @property
    def door(self) -> str:
        """Where nginx answers, as links in mails name it."""
        if self.public_url:
            return self.public_url.rstrip("/")
        if self.tls_certificate:
            return f"https://{LOOPBACK}:{self.tls_port}"
        return f"http://{LOOPBACK}:{self.api_port}"

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
    def model_key_path(self) -> Path:
        """Public key that signatures of models are checked with; without the file none are."""
        return Path(self.model_key) if self.model_key else self.keys_path / "model-signing.pub"

    @property
    def spool_path(self) -> Path:
        """Folder of answers on their way to the lake, one folder a slot."""
        return self.home_path / "spool"

    @property
    def reports_path(self) -> Path:
        """Folder of the pages of monitoring runs."""
        return self.home_path / "reports"

    @property
    def alerts_path(self) -> Path:
        """Folder of alerts that clients asked for and nobody has sent yet."""
        return self.home_path / "alerts"

    @property
    def keys_path(self) -> Path:
        """Folder of generated secrets, each a file that only its owner's account reaches."""
        return Path(self.keys).absolute() if self.keys else self.home_path / "keys"


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
