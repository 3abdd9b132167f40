"""A datasite's settings: each with its default, unit and help, read from TOML and checked before anything starts."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Self

from datasites import first_settings
from datasites.files.toml_file import read_toml, toml_value
from datasites.notices.settings import NoticeSettings
from datasites.pysyft_database.settings import DatabaseSettings
from datasites.runs.sandbox.limits import RunLimits
from datasites.runs.slurm.settings import SlurmSettings
from datasites.sources.dataset_settings import FLAT, DatasetSettings
from datasites.web.console_settings import ConsoleSettings
from datasites.web.port_limits import PortLimits
from policies.budget.limits import DatasetLimits
from policies.errors import ConfigError
from policies.settings import setting, setting_of
from policies.validate import Checks

_EMAIL = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,63}@[a-z0-9][a-z0-9.-]{0,120}\.[a-z]{2,63}")
_checks = Checks(ConfigError)
# Settings that are counts from 1 on, and the most that each may be.
_MOST = {
    **{"blob_expiry_hours": 100_000, "max_pending_per_researcher": 100_000, "max_blobs_per_researcher": 10**7},
    **{"concurrent_runs": 64, "threads_per_run": 256, "gpus_per_run": 64, "certificate_days": 825},
    **{"cpu_seconds_per_run": 10**9, "wall_seconds_per_run": 10**8, "port": 65_535},
}
_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


@dataclass(frozen=True)
class DatasiteConfig(ConsoleSettings, DatabaseSettings, SlurmSettings):
    """One hospital's datasite. The help of each setting stands in `docs/ref-settings.md`, made from here."""

    name: str = setting("Name of the datasite: lower-case letters, digits, '_', '.', '-'.")
    port: int = setting_of(first_settings.PORT)
    host: str = setting(
        "Address to listen on: loopback, one of the machine's, or 0.0.0.0 for all of them (then set public_names).",
        default="127.0.0.1",
    )
    public_names: tuple[str, ...] = setting(
        "Names or addresses that researchers dial, preferred first; host if empty. The certificate is for them.",
        default=(),
    )
    certificate_days: int = setting("Days that a researcher's certificate is valid.", default=90)
    dataset: DatasetSettings = setting(
        "Which pictures are published, and how: the table [dataset].", default_factory=DatasetSettings
    )
    researchers: tuple[str, ...] = setting_of(first_settings.RESEARCHERS)
    max_connections: int = setting("Most open connections of all researchers.", default=512)
    max_connections_per_researcher: int = setting("Most open connections of one researcher.", default=32)
    max_requests_at_once_per_researcher: int = setting(
        "Most requests of one researcher that are worked on at once; more wait for their turn.", default=8
    )
    max_requests_per_second_per_researcher: int = setting(
        "Most requests of one researcher that begin in a second, over five seconds; more wait for their turn.",
        default=20,
    )
    head_seconds: int = setting("Longest time for the head of a request to arrive, in seconds.", default=10)
    min_upload_bytes_per_second: int = setting(
        "Slowest pace of a body that is sent, in bytes a second, over ten seconds.", default=4096
    )
    max_pending_per_researcher: int = setting(
        "Most code requests of one researcher that wait for a decision.", default=20
    )
    require_statement: bool = setting(
        "Refuse requests that leave a text of their statement empty: who asks, where from, how to reach them, "
        "what for, under which approval, what is to be published.",
        default=False,
    )
    max_log_bytes: int = setting(
        "Most bytes of each log in logs/; beyond it the earlier lines are cut.", default=64 << 20
    )
    max_update_bytes: int = setting("Most bytes of one set of weights, in or out.", default=1 << 30)
    max_blob_bytes_per_researcher: int = setting(
        "Most bytes of weights and updates that are kept for one researcher.", default=20 << 30
    )
    max_blobs_per_researcher: int = setting(
        "Most sets of weights and updates that are kept for one researcher.", default=10_000
    )
    max_blob_bytes: int = setting(
        "Most bytes of weights and updates that are kept for all researchers.", default=100 << 30
    )
    min_free_disk_bytes: int = setting(
        "Bytes of the disk that weights and updates never take, so that the ledger and the queue have room.",
        default=256 << 20,
    )
    blob_expiry_hours: int = setting(
        "Hours that weights stay after they came, and updates after their study ended.", default=168
    )
    concurrent_runs: int = setting("Runs at once.", default=1)
    threads_per_run: int = setting("CPU threads of one run.", default=1)
    require_sandbox: bool = setting(
        "Refuse runs where the machine lacks a piece of the sandbox, rather than run them less closed in.", default=True
    )
    memory_bytes_per_run: int = setting("Most memory of one run, in bytes, beyond its libraries.", default=8 << 30)
    cpu_seconds_per_run: int = setting(
        "Most processor time of one run, in seconds, all its threads together.", default=2 * 86_400
    )
    wall_seconds_per_run: int = setting(
        "Longest time of one run, in seconds; a plan's own timeout may be shorter.", default=86_400
    )
    processes_per_run: int = setting("Most processes and threads of one run.", default=128)
    scratch_bytes_per_run: int = setting(
        "Most bytes that one run may write; they are its result, so at least max_update_bytes.", default=2 << 30
    )
    runs_per_gpu: int = setting("Runs that share a GPU at once; 0 leases none, and runs take the CPU.", default=1)
    gpus_per_run: int = setting(
        "Most GPUs of one run of private training: it waits until they are free, and trains in as many processes.",
        default=1,
    )
    notices: NoticeSettings = setting(
        "Where the hospital's people are told of requests and troubles: the table [notices].",
        default_factory=NoticeSettings,
    )
    rehearse_requests: bool = setting(
        "Run a few steps of each code request on the mock when it arrives, while no run waits.", default=True
    )
    require_rehearsal: bool = setting(
        "Refuse to approve a code request before it has passed its rehearsal.", default=False
    )
    limits: DatasetLimits = setting(
        "What researchers may spend and do: see docs/ref-policies.md.",
        default_factory=DatasetLimits,
        while_serving=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_database()
        _checks.name("name", self.name)
        _checks.integer("max_update_bytes", self.max_update_bytes, low=1024, high=1 << 40)
        for name, most in _MOST.items():
            _checks.integer(name, getattr(self, name), low=1, high=most)
        for name in ("max_blob_bytes_per_researcher", "max_blob_bytes", "min_free_disk_bytes"):
            _checks.integer(name, getattr(self, name), low=0, high=1 << 50)
        self._check_run_limits()
        _ = self.port_limits  # which checks itself
        _checks.integer("max_log_bytes", self.max_log_bytes, low=1 << 20, high=1 << 40)
        for name, kind in (("limits", DatasetLimits), ("dataset", DatasetSettings), ("notices", NoticeSettings)):
            if not isinstance(getattr(self, name), kind):
                raise ConfigError(f"{name} must be a table of settings, got {getattr(self, name)!r}.")
        for name in ("researchers", "public_names"):
            _texts(name, getattr(self, name))
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for email in self.researchers:
            check_email(email)
        for address in (self.host, *self.public_names, self.console_host):
            _check_host(address)
        object.__setattr__(self, "host", self.host.lower())
        object.__setattr__(self, "public_names", tuple(name.lower() for name in self.public_names))
        if _is_everywhere(self.host) and not self.public_names:
            raise ConfigError(
                f"host is {self.host!r}, which nobody can dial. Set public_names to what researchers dial, such as "
                '["datasite.hospital.org"].'
            )

    @property
    def dialled(self) -> tuple[str, ...]:
        """The names and addresses that the server's certificate is for, the preferred one first."""
        own = () if _is_everywhere(self.host) else (self.host,)
        return tuple(dict.fromkeys((*self.public_names, *own)))

    @property
    def url(self) -> str:
        """Where researchers reach the datasite."""
        name = self.dialled[0]
        return f"https://{f'[{name}]' if ':' in name else name}:{self.port}"

    @property
    def run_limits(self) -> RunLimits:
        """The most that one run may take."""
        return RunLimits(**{limit.name: getattr(self, limit.name) for limit in fields(RunLimits)})

    @property
    def port_limits(self) -> PortLimits:
        """The most that researchers may take of their port."""
        return PortLimits(**{limit.name: getattr(self, limit.name) for limit in fields(PortLimits)})

    def _check_run_limits(self) -> None:
        for name in ("require_sandbox", "rehearse_requests", "require_rehearsal", "require_statement"):
            _checks.boolean(name, getattr(self, name))
        _checks.integer("memory_bytes_per_run", self.memory_bytes_per_run, low=1 << 28, high=1 << 44)
        least = self.threads_per_run + 8 * self.gpus_per_run
        _checks.integer("processes_per_run", self.processes_per_run, low=least, high=1 << 16)
        _checks.integer("scratch_bytes_per_run", self.scratch_bytes_per_run, low=self.max_update_bytes, high=1 << 44)
        _checks.integer("runs_per_gpu", self.runs_per_gpu, low=0, high=64)
        self.check_slurm(self.runs_per_gpu)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, where: str = "config") -> Self:
        """Builds a config from plain values, with `limits`, `notices` and `dataset` as tables.

        Settings of the dataset may also stand beside the others, by the names in `dataset_settings.FLAT`.

        Raises:
            ConfigError: An unknown setting, a missing name, a value out of range, a setting that is given twice.
        """
        values = with_dataset(values, where)
        known = [f.name for f in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise ConfigError(f"Unknown setting {unknown[0]!r} in {where}; known are {', '.join(known)}.")
        required = {f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}
        if missing := sorted(required - set(values)):
            raise ConfigError(f"Setting {missing[0]!r} is missing in {where}.")
        built = dict(values)
        if isinstance(built.get("limits"), Mapping):
            built["limits"] = DatasetLimits.from_dict(built["limits"])
        if isinstance(built.get("notices"), Mapping):
            built["notices"] = NoticeSettings.from_dict(built["notices"], where=f"[notices] of {where}")
        built["dataset"] = DatasetSettings.from_dict(built["dataset"], where=f"[dataset] of {where}")
        return cls(**built)

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Reads one datasite's config.toml.

        Raises:
            ConfigError: The file is missing, not TOML, or holds a wrong setting.
        """
        return cls.from_dict(read_toml(path), where=path.name)

    def to_toml(self) -> str:
        """TOML that `from_toml` reads back."""
        lines = _lines(self, without=("limits", "dataset", "notices"))
        lines += ["", "[dataset]", *_lines(self.dataset)]
        lines += ["", "[notices]", *_lines(self.notices)]
        limits = self.limits.to_dict()
        total = limits.pop("total")
        lines += ["", "[limits]", *(f"{key} = {toml_value(value)}" for key, value in limits.items())]
        lines += [f"total = {{ epsilon = {toml_value(total['epsilon'])}, delta = {toml_value(total['delta'])} }}", ""]
        return "\n".join(lines)


def _lines(settings: DatasiteConfig | DatasetSettings | NoticeSettings, *, without: tuple[str, ...] = ()) -> list[str]:
    """Two lines of TOML for each setting: its help, and its value."""
    last = {f.name for kind in (DatabaseSettings, ConsoleSettings, SlurmSettings) for f in fields(kind)}
    told = [f for f in sorted(fields(settings), key=lambda one: one.name in last) if f.name not in without]
    return [
        line
        for f in told
        for line in (f"# {f.metadata['help']}", f"{f.name} = {toml_value(getattr(settings, f.name))}")
    ]


def with_dataset(values: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """The values with all that is said of the dataset in its table, wherever it stood."""
    beside = {key: value for key, value in values.items() if key in FLAT}
    section = beside.pop("dataset") if isinstance(beside.get("dataset"), Mapping) else {}
    own = dict(section)
    for key, value in beside.items():
        if FLAT[key] in own:
            raise ConfigError(
                f"{FLAT[key]!r} is given twice in {where}: in the table [dataset], and as {key!r} beside it. "
                "Remove one of the two."
            )
        own[FLAT[key]] = value
    return {**{key: value for key, value in values.items() if key not in FLAT}, "dataset": own}


def check_email(email: str) -> str:
    """Returns `email` if it looks like an address.

    Raises:
        ConfigError: It does not.
    """
    if not isinstance(email, str) or not _EMAIL.fullmatch(email):
        example = "researcher@university.org, in small letters after the @"
        raise ConfigError(f"Expected an e-mail address such as {example}, got {email!r}.")
    return email


def _texts(name: str, values: Any) -> None:
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        raise ConfigError(f"{name} must be a list of texts, got {values!r}.")
    if any("\ud800" <= one <= "\udfff" for value in values for one in value):
        raise ConfigError(f"{name} must be texts in UTF-8.")


def _check_host(address: Any) -> None:
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        if not isinstance(address, str) or not _HOST_NAME.fullmatch(address.lower()):
            raise ConfigError(
                f"Expected an address such as 192.0.2.7 or a name such as datasite.hospital.org, got {address!r}."
            ) from error


def _is_everywhere(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
