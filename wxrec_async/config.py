"""Settings, one class per concern, and where each value came from.

Precedence: what the caller passes, then ``WXREC_<SECTION>__<KEY>`` in the
environment, then ``config.toml``, then the default.  An unknown key is an error
that names the nearest known one.  `load_config` is the one way in.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    SettingsConfigDict,
    SettingsError,
)

from wxrec_async.errors import ConfigError
from wxrec_async.model import Kind

MIB = 1 << 20
ENV_PREFIX = "WXREC_"
WEBEX_REQUESTS_PER_MINUTE = 300  # documented, per client id over all Contact Center APIs
# No other name counts: DNS may call 127.0.0.1 anything, and something else a moment later.
LOOPBACK_NAMES = ("localhost",)


# Those that are documented.  Webex has more (work items, say), so `channel_types` is not held to them.
CHANNELS = ("telephony", "email", "chat", "social")
DIRECTIONS = ("inbound", "outbound", "outdial")


def _split_commas(value: object) -> object:
    """Let an environment variable carry a list as ``a,b``."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return value


# NoDecode: pydantic-settings takes a variable that stands for a list to be JSON and refuses ``a,b`` else.
TextList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]


class Section(BaseModel):
    """A table of the configuration: frozen, and closed to unknown keys."""

    # TOML has inf, which passes every lower bound below; and a refused value may be a secret in the wrong place.
    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class WebexSettings(Section):
    """Where Webex is, whose recordings are asked for, and how fast."""

    # There is no list of Cisco's: these were seen in use.  `base_url` takes any other.
    region: Literal["us1", "eu1", "eu2", "anz1", "ca1", "jp1", "sg1", "in1"] = "us1"
    base_url: str = ""
    auth_url: str = "https://webexapis.com/v1"
    org_id: str = ""
    channel_types: TextList = ("telephony",)
    # A little under Webex's own 300.  More is let pass with a warning: limits can be negotiated, simulators have none.
    requests_per_minute: Annotated[float, Field(gt=0, le=1_000_000)] = 250
    # What new organisations begin with; older ones keep recordings for ever until somebody sets it.
    retention_days: Annotated[int, Field(ge=0)] = 1095
    # `GET /v1/tasks` reaches twelve months back; users found that, it is not documented.
    # What Search has of each call goes into its sidecar: a call of Search for a hundred of them.
    contact_records: bool = False
    lookback_days: Annotated[int, Field(gt=0)] = 365
    # Webex's own bounds.  The largest page costs the fewest of the requests a minute.
    page_size: Annotated[int, Field(ge=1, le=1000)] = 1000
    # The buckets of other regions are not known, only that they are S3's.
    media_hosts: TextList = ("*.amazonaws.com", "*.webex.com")
    include_va: bool = False
    include_segments: bool = False
    include_transcripts: bool = False
    include_screen: bool = False
    count_other_channels: bool = True
    search: Literal["auto", "required", "off"] = "auto"
    search_counts: bool = True
    proxy: str = ""

    @field_validator("base_url", "auth_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        return _checked_url(value) if value else value

    @property
    def other_channels(self) -> tuple[str, ...]:
        """The channels that are not asked for, when their contacts are to be counted."""
        asked = {name.lower() for name in self.channel_types}
        return tuple(name for name in CHANNELS if self.count_other_channels and name not in asked)

    @property
    def other_kinds(self) -> frozenset[Kind]:
        """What is to be stored besides audio."""
        asked = {Kind.TRANSCRIPT: self.include_transcripts, Kind.SCREEN: self.include_screen}
        return frozenset(kind for kind, wanted in asked.items() if wanted)

    @property
    def api_url(self) -> str:
        """Where tasks and captures are, without a trailing slash, e.g. ``https://api.wxcc-us1.cisco.com/v1``."""
        return self.base_url or f"https://api.wxcc-{self.region}.cisco.com/v1"

    @property
    def api_root(self) -> str:
        """Where Search is: Cisco's paths carry their version themselves, and Search's path has none."""
        return self.api_url.removesuffix("/v1")


class AuthSettings(Section):
    """Where credentials and tokens are kept: a path, or ``aws-secretsmanager:NAME``."""

    credentials: str = "secrets.json"
    tokens: str = "tokens.json"
    # Webex compares it letter for letter with those that were registered.
    redirect_uri: str = "http://127.0.0.1:8080/callback"
    # More than is needed: nothing is written at Webex, and a service app does with `cjp:config_read` alone.
    scopes: TextList = (
        "spark-admin:recordings_read",
        "spark-admin:recordings_write",
        "spark:kms",
        "cjp:config",
        "cjp:config_read",
    )


class S3Settings(Section):
    """The bucket, and what is asked of it."""

    bucket: str = ""
    region: str = ""
    key: str = "call-detail/{task_id}/recording{ext}"
    # S3's bounds of a part; only the last one may be smaller.
    part_size_mib: Annotated[int, Field(ge=5, le=5120)] = 8
    part_concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    endpoint_url: str = ""
    addressing_style: Literal["", "auto", "path", "virtual"] = ""
    profile: str = ""
    expected_bucket_owner: str = ""
    storage_class: str = ""
    sse: Literal["", "AES256", "aws:kms", "aws:kms:dsse"] = ""
    kms_key_id: str = ""
    tags: dict[str, str] = Field(default_factory=dict)
    object_lock_mode: Literal["", "GOVERNANCE", "COMPLIANCE"] = ""
    object_lock_days: Annotated[int, Field(ge=0)] = 0
    overwrite: bool = False
    require_sse: bool = False
    sidecar: bool = False

    @field_validator("endpoint_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        return _checked_url(value) if value else value

    @field_validator("key")
    @classmethod
    def _check_key(cls, value: str) -> str:
        return _checked_key_template(value)

    @model_validator(mode="after")
    def _sidecars_have_a_place(self) -> S3Settings:
        # A sidecar is called metadata.json: a template without the extension could make a recording's key of that.
        if self.sidecar and not self.key.endswith("{ext}"):
            raise ValueError("sidecar needs a key that ends in {ext}, or a recording could take the place of a sidecar")
        return self

    @model_validator(mode="after")
    def _lock_has_days(self) -> S3Settings:
        # S3 refuses one without the other, but only at the first object.
        if bool(self.object_lock_mode) != bool(self.object_lock_days):
            raise ValueError("object_lock_mode and object_lock_days go together")
        return self

    @model_validator(mode="after")
    def _encryption_is_named(self) -> S3Settings:
        if self.require_sse and not self.sse:
            raise ValueError("require_sse is set, but not what to ask for: set sse to AES256, aws:kms or aws:kms:dsse")
        # S3 would refuse this too, once for every recording.
        if self.kms_key_id and not self.sse.startswith("aws:kms"):
            raise ValueError('kms_key_id is used with sse = "aws:kms" or "aws:kms:dsse" only')
        return self


class BackfillSettings(Section):
    """How much is moved, and how."""

    days_back: Annotated[float, Field(gt=0)] = 7
    # `from` is a word of Python's.
    from_: Annotated[str, Field(alias="from")] = ""
    to: str = ""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 32
    memory_mib: Annotated[int, Field(ge=16)] = 256
    # How long after a call its recording appears is documented nowhere, so the young are not judged.
    settle_minutes: Annotated[float, Field(ge=0)] = 30
    owed_null_hours: Annotated[float, Field(ge=0)] = 24
    owed_days: Annotated[float, Field(ge=0)] = 7
    assume_over_hours: Annotated[float, Field(ge=0)] = 24
    ask_again_minutes: Annotated[float, Field(gt=0)] = 30
    ask_again_max_hours: Annotated[float, Field(gt=0, le=24)] = 24
    look_again_hours: Annotated[float, Field(ge=0)] = 24
    # What container platforms usually leave a process between SIGTERM and SIGKILL.
    grace_seconds: Annotated[float, Field(ge=0)] = 30
    # A body without end must end somewhere; a whole day of the largest format seen (32 kB/s) has under 3 GiB.
    max_recording_gib: Annotated[float, Field(gt=0)] = 8
    max_failures_in_row: Annotated[int, Field(ge=1)] = 100
    max_mib_per_second: Annotated[float, Field(ge=0)] = 0
    changed: Literal["beside", "conflict", "replace"] = "beside"

    @field_validator("from_", "to", mode="before")
    @classmethod
    def _moment(cls, value: object) -> object:
        """Take TOML's own dates and date-times as well as text."""
        if isinstance(value, datetime | date):
            return value.isoformat()
        return value


class FollowSettings(Section):
    """How a follower keeps up: see `Backfill.follow`."""

    poll_minutes: Annotated[float, Field(ge=1, le=1440)] = 15
    # Longer than `owed_days`, or what Webex lists late is not seen (`_warnings`).
    trailing_days: Annotated[float, Field(gt=0)] = 8


class FilterSettings(Section):
    """Which tasks are wanted; see `rules.filters.Filters`."""

    queues: TextList = ()
    exclude_queues: TextList = ()
    agents: TextList = ()
    exclude_agents: TextList = ()
    directions: TextList = ()
    min_duration_seconds: Annotated[float, Field(ge=0)] = 0

    @field_validator("queues", "exclude_queues", "agents", "exclude_agents", "directions")
    @classmethod
    def _check_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(value):
            raise ValueError("holds an empty name; leave the list empty to filter nothing")
        return value

    @field_validator("directions")
    @classmethod
    def _check_directions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := {direction.lower() for direction in value} - set(DIRECTIONS):
            raise ValueError(f"{min(unknown)!r} is none; known are {', '.join(DIRECTIONS)}")
        return value


class LedgerSettings(Section):
    """Where the run's memory lies, and whether phone numbers are kept in it as they came."""

    path: Path = Path("wxrec.db")
    # Masked before it is written: what was never kept cannot leak from a ledger that is copied.
    phone_numbers: Literal["masked", "hashed", "plain"] = "masked"
    # The calling code of numbers that name none, for their hashes alone.
    country: Annotated[str, Field(pattern=r"^\d{0,3}$")] = ""


class TemporalSettings(Section):
    """How a backfill is cut for `wxrec_async.temporal`; one machine alone needs none of it."""

    windows: Annotated[int, Field(ge=1, le=64)] = 4
    batches: Annotated[int, Field(ge=1, le=500)] = 64
    heartbeat_seconds: Annotated[float, Field(ge=2, le=600)] = 30
    codec: str = ""


class EvidenceSettings(Section):
    """What is written down so that others can prove what was stored."""

    sha256: bool = True


class Settings(BaseSettings):
    """Everything the program can be told."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__"
    )

    webex: WebexSettings = WebexSettings()
    auth: AuthSettings = AuthSettings()
    s3: S3Settings = S3Settings()
    backfill: BackfillSettings = BackfillSettings()
    follow: FollowSettings = FollowSettings()
    filters: FilterSettings = FilterSettings()
    ledger: LedgerSettings = LedgerSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    temporal: TemporalSettings = TemporalSettings()
    ca_bundle: Path | None = None

    @field_validator("ca_bundle", mode="before")
    @classmethod
    def _none_when_empty(cls, value: object) -> object:
        # Path("") would be the working folder.
        return value or None

    @model_validator(mode="after")
    def _part_fits_memory(self) -> Settings:
        # A part stays in memory until S3 has confirmed it, as it may have to be sent again.
        if self.s3.part_size_mib > self.backfill.memory_mib:
            raise ValueError("[backfill] memory_mib must be at least [s3] part_size_mib")
        return self

    @model_validator(mode="after")
    def _other_kinds_have_a_place(self) -> Settings:
        # As with sidecars: what ends in .json or .mp4 must be no audio's key.
        if self.webex.other_kinds and not self.s3.key.endswith("{ext}"):
            raise ValueError("[webex] include_transcripts and include_screen need an [s3] key that ends in {ext}")
        return self

    @property
    def memory(self) -> MemoryPlan:
        return plan_memory(self.backfill.memory_mib, self.backfill.concurrency, self.s3.part_size_mib)


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How ``memory_mib`` is divided, in bytes.

    ``pool`` is shared: every part of every recording takes its room there and
    gives it back.  ``bodies`` is how many recordings may be open at their source
    at once, each with a ``read_buffer`` and a ``pipe``.  ``ceiling_mib`` is the
    peak resident size the process promises to stay under.
    """

    pool: int
    bodies: int
    pipe: int
    read_buffer: int
    ceiling_mib: int


# What an open body costs besides its buffers: asyncio reads 256 KiB at once, decrypts into 256 more, and on the way
# to S3 as much again waits to be sent (measured with TLS on both sides, 32 to 500 workers).
BODY_OVERHEAD = 768 << 10
# A connection holds twice its read buffer before it stops reading; so do the pipe and the chunk that waits before it.
BUFFERS_PER_BODY = 9


def plan_memory(memory_mib: int, workers: int, part_size_mib: int) -> MemoryPlan:
    """Divide the budget: a quarter, at most half, for open bodies, the rest for parts, never less than one part."""
    total = memory_mib * MIB
    share = (total // 4 // workers - BODY_OVERHEAD) // BUFFERS_PER_BODY
    read_buffer = min(128 << 10, max(32 << 10, share))
    per_body = BUFFERS_PER_BODY * read_buffer + BODY_OVERHEAD
    bodies = min(workers, max(1, total // 2 // per_body))
    pool = max(part_size_mib * MIB, total - bodies * per_body)
    used_mib = max(memory_mib, -(-(pool + bodies * per_body) // MIB))
    return MemoryPlan(
        pool, bodies, pipe=2 * read_buffer, read_buffer=read_buffer, ceiling_mib=round(used_mib * 1.25 + 120)
    )


# What a value may be


def _checked_url(url: str) -> str:
    """Return ``url`` without a trailing slash, or raise ValueError: https, or http to loopback only."""
    try:
        pieces = urlsplit(url)
        pieces.port  # noqa: B018 - raises when it is none
    except ValueError:
        raise ValueError("is not a URL; write https://host/…") from None
    if pieces.scheme not in ("http", "https") or not pieces.hostname:
        raise ValueError("is not a URL; write https://host/…")
    # User name and query are where URLs carry secrets, and settings are shown to people.
    if "@" in pieces.netloc or pieces.query or pieces.fragment:
        raise ValueError("may carry neither a user name nor a query")
    if pieces.scheme == "http" and not is_loopback(pieces.hostname):
        raise ValueError(f"plain http is accepted only for loopback, not for {pieces.hostname}; use https://")
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Say whether ``host`` names this machine (by name or literal address; nothing is resolved)."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in LOOPBACK_NAMES


def _checked_key_template(template: str) -> str:
    """Return ``template``, or raise ValueError when keys made from it could collide or escape."""
    names = _placeholders(template)
    if "task_id" not in names:
        raise ValueError("must contain {task_id}, or recordings of different tasks would meet")
    if unknown := names - set(KEY_PLACEHOLDERS):
        raise ValueError(f"has the unknown placeholder {{{min(unknown)}}}; known are {', '.join(KEY_PLACEHOLDERS)}")
    segments = template.split("/")
    # What begins with _ is ours in the bucket (`_evidence`): no recording may come to lie there.
    if any(segment in ("", ".", "..") or segment.startswith("_") for segment in segments):
        raise ValueError("must be a relative path without segments that are empty, . or .., or begin with _")
    ids = template.count("{task_id}") + template.count("{recording_id}") + 1
    if not template.isprintable() or len(template.encode()) + ids * MAX_ENCODED > MAX_KEY_BYTES:
        raise ValueError(f"must be printable, and its keys at most {MAX_KEY_BYTES} bytes long")
    return template


# S3's limit, of the key in UTF-8.
MAX_KEY_BYTES = 1024
MAX_ENCODED = 180  # as `rules.keys` has it; a further recording's id is added to the key's own placeholders
KEY_PLACEHOLDERS = ("task_id", "recording_id", "ext", "year", "month", "day")


def _placeholders(template: str) -> set[str]:
    import string  # noqa: PLC0415 - needed once, when a template is checked

    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"is not a template: {error}") from None
    if "{{" in template or "}}" in template or any(spec or conversion for _, _, spec, conversion in pieces):
        raise ValueError("may hold placeholders as they are, {task_id}, without anything inside or around their braces")
    return {name for _, name, _, _ in pieces if name is not None}


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and for every dotted key that was set, where from: ``flag``, ``WXREC_…`` or the file's name."""

    settings: Settings
    origins: dict[str, str]
    warnings: tuple[str, ...] = ()


def load_config(
    path: Path | str | None = None,
    *,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Read the settings; see `load_config_with_origins`."""
    return load_config_with_origins(path, overrides=overrides).settings


def load_config_with_origins(
    path: Path | str | None = None,
    *,
    overrides: Mapping[str, object] | None = None,
) -> Loaded:
    """Read the settings and remember where each came from.

    ``path`` None means ``config.toml`` of the working folder, if it is there.
    ``overrides`` are dotted keys (``backfill.concurrency``) and stand above all.
    Relative paths of a file are meant relative to the working folder.  Raises
    `ConfigError` with one line that names the key and where it was set.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    file = Path(path) if path is not None else Path("config.toml")
    # From the lowest to the highest: what comes later takes the place of what came before.
    layers = [
        (_file_values(file, required=path is not None), file.name),
        (_environment_values(), ""),
        (dict(overrides or {}), "flag"),
    ]
    for layer, origin in layers:
        for key, value in layer.items():
            _place(values, key, value)
            origins[key] = origin or f"{ENV_PREFIX}{key.replace('.', '__').upper()}"
    settings = _validated(values, origins)
    return Loaded(settings, origins, tuple(_warnings(settings)))


def _file_values(file: Path, *, required: bool) -> dict[str, object]:
    if not file.exists():
        if required:
            raise ConfigError(f"the configuration file {file} is not there; correct --config")
        return {}
    if file.is_dir():
        raise ConfigError(f"--config {file} is a folder; name the file in it, such as {file / 'config.toml'}")
    try:
        # Editors of Windows begin a file with a byte order mark, which is no TOML.
        table = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"the configuration file {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the configuration file {file} is not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}") from None
    except (RecursionError, ValueError) as error:  # nested without end; a number of more digits than Python converts
        raise ConfigError(f"{file} cannot be used as TOML ({type(error).__name__})") from None
    return _flat(table, str(file))


def _environment_values() -> dict[str, object]:
    """Take ``WXREC_<SECTION>__<KEY>``; ``WXREC_`` names without ``__`` belong to others, but for top-level keys."""
    # pydantic-settings passes over names it does not know; a misspelt one must not be without effect in silence.
    for name in os.environ:
        if name.startswith(ENV_PREFIX):
            _check_variable(name)
    try:
        return _flat(EnvSettingsSource(Settings)(), "the environment")
    except SettingsError as error:
        raise ConfigError(f"the environment: {error}; tables are written as JSON") from None


def _check_variable(name: str) -> None:
    key = name.removeprefix(ENV_PREFIX).lower()
    if "__" in key:
        _known(key.replace("__", ".", 1), f"the environment variable {name}")
    # Others with one underscore are left alone: Kubernetes makes such for every service.
    elif meant := [known for known in known_keys() if "." in known and known.replace(".", "_") == key]:
        right = f"{ENV_PREFIX}{meant[0].replace('.', '__').upper()}"
        raise ConfigError(f"the environment variable {name} has no effect; two underscores follow the section: {right}")


def no_bucket() -> ConfigError:
    """Return what a command says that needs a bucket and was given none: with the next step."""
    if Path("config.toml").exists():
        return ConfigError("[s3] bucket is not set; name the bucket that recordings go to")
    return ConfigError(
        f"[s3] bucket is not set, and there is no config.toml in {Path.cwd()}; write one (config.example.toml shows "
        "how), or name it with --config"
    )


def _flat(table: Mapping[str, Any], where: str) -> dict[str, object]:
    """Turn sections into dotted keys, refusing what is not known."""
    values: dict[str, object] = {}
    for name, value in table.items():
        # One level only: a table within a section (``[s3] tags``) is a value.
        if isinstance(value, Mapping):
            values |= {f"{name}.{key}": item for key, item in value.items()}
        else:
            values[name] = value
    for key in values:
        _known(key, where)
    return values


def _sections() -> dict[str, type[BaseModel]]:
    annotations = {name: info.annotation for name, info in Settings.model_fields.items()}
    return {name: kind for name, kind in annotations.items() if isinstance(kind, type) and issubclass(kind, BaseModel)}


def known_keys() -> list[str]:
    """Every dotted key there is, in the order of the classes."""
    keys = [name for name in Settings.model_fields if name not in _sections()]
    for section, model in _sections().items():
        keys += [f"{section}.{info.alias or name}" for name, info in model.model_fields.items()]
    return keys


def _known(key: str, where: str) -> None:
    keys = known_keys()
    if key in keys:
        return
    # First the right name in the wrong section, which may be far from it letter by letter.
    near = _same_name(key, keys) or difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
    hint = f"; did you mean {_shown(near[0])}?" if near else ""
    raise ConfigError(f"{where}: unknown key {_shown(key)}{hint}")


def _same_name(key: str, keys: list[str]) -> list[str]:
    return [known for known in keys if known.rpartition(".")[2] == key.rpartition(".")[2]][:1]


def _shown(key: str) -> str:
    section, _, name = key.rpartition(".")
    return f"[{section}] {name}" if section else name


def _place(values: dict[str, Any], key: str, value: object) -> None:
    section, _, name = key.rpartition(".")
    (values.setdefault(section, {}) if section else values)[name] = value


def _validated(values: dict[str, Any], origins: Mapping[str, str]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        # One error, as it has to fit in a line, and without the value, which may be a secret.
        first = error.errors(include_url=False, include_input=False)[0]
        # Section and key; what follows them is a place within a list or a table.
        key = ".".join(str(piece) for piece in first["loc"][:2])
        where = f" (from {origins[key]})" if key in origins else ""
        words = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{_shown(key)}{where}: {words}" if key else words) from None


def _warnings(settings: Settings) -> Iterator[str]:
    if settings.follow.trailing_days <= settings.backfill.owed_days:
        yield (
            f"[follow] trailing_days = {settings.follow.trailing_days:g} should be longer than "
            f"[backfill] owed_days = {settings.backfill.owed_days:g}, or what is listed late is not seen"
        )
    if not settings.webex.proxy and (name := next(filter(os.environ.get, ("HTTPS_PROXY", "https_proxy")), "")):
        yield f"{name} is set and not used: a proxy is named by [webex] proxy"
    rate = settings.webex.requests_per_minute
    if rate > WEBEX_REQUESTS_PER_MINUTE:
        yield (
            f"[webex] requests_per_minute = {rate:g} is above the {WEBEX_REQUESTS_PER_MINUTE} a minute "
            "that Webex allows a client id; expect 429 unless a higher limit was negotiated"
        )


def secret_free(settings: Settings) -> dict[str, Any]:
    """Every setting as plain JSON values, without the one secret that can stand in them: a proxy's credentials."""
    dumped: dict[str, Any] = settings.model_dump(mode="json", by_alias=True)
    # The last @: a password can hold one, a host cannot.
    scheme, at, host = dumped["webex"]["proxy"].rpartition("@")
    if at:
        kind, separator, _ = scheme.partition("://")
        dumped["webex"]["proxy"] = f"{kind}://***@{host}" if separator else f"***@{host}"
    return dumped
