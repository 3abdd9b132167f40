"""The files of a datasite's service, as systemd reads them: the unit, its state folder's rights, its account."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from policies.errors import ConfigError

_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_PLAIN = re.compile(r"[A-Za-z0-9_./+@:,=-]+")
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp", "/dev")  # noqa: S108 - named, not used
# What systemd may take from the datasite without taking it from its runs, which close themselves in with namespaces,
# mounts and filters of their own, and want its GPUs: so neither namespaces nor /proc nor devices are restricted. Nor is
# any file below /proc covered, as ProtectKernelLogs and ProtectHostname do: the kernel then lets no ordinary account
# mount a /proc of its own, and runs with a GPU need one. What these keep out besides is named instead.
_HARDENING = (
    *("NoNewPrivileges=yes", "PrivateTmp=yes", "ProtectSystem=strict", "ProtectHome=yes"),
    *("ProtectKernelModules=yes", "InaccessiblePaths=-/dev/kmsg", "RestrictRealtime=yes"),
    *("SystemCallFilter=~syslog sethostname setdomainname", "SystemCallErrorNumber=EPERM"),
    *("RestrictSUIDSGID=yes", "LockPersonality=yes", "CapabilityBoundingSet=", "AmbientCapabilities="),
    *("SystemCallArchitectures=native", "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK", "UMask=0077"),
)


def hidden_by(path: Path) -> str | None:
    """The folder above a path that the service does not see; None where it sees the path."""
    return next((one for one in _HIDDEN if path.is_relative_to(one)), None)


@dataclass(frozen=True)
class Service:
    """A datasite that starts with its machine.

    Attributes:
        name: The datasite's.
        state: Its state folder, absolute.
        python: The interpreter of the environment that Wanwu is installed in, absolute.
        program: Folder that it runs in, absolute; where Wanwu is imported from.
        account: The account that it runs as.
    """

    name: str
    state: Path
    python: Path
    program: Path
    account: str

    def __post_init__(self) -> None:
        if not _ACCOUNT.fullmatch(self.account):
            raise ConfigError(f"--account must be a name of an account of this machine, got {self.account!r}.")
        if self.account == "root":
            raise ConfigError("A datasite does not run as root: give an account of its own with --account.")
        interpreter = self.python.resolve()  # an environment's is a link to another one, which has the libraries
        paths = {"state folder": self.state, "environment": self.python, "program": self.program}
        linked = self.python.parent.resolve()  # and a folder above it may be a link too
        for what, path in {**paths, "environment's folder": linked, "interpreter": interpreter}.items():
            if not path.is_absolute() or not _PLAIN.fullmatch(str(path)):
                raise ConfigError(
                    f"The {what} must have an absolute path of letters, digits and ._/+@:,=-, got {path}. Move it."
                )
            if hidden := hidden_by(path):
                raise ConfigError(
                    f"The {what} {path} lies below {hidden}, which the service does not see. Move it, for example to "
                    "/var/lib/wanwu or /opt/wanwu."
                )

    @property
    def unit(self) -> str:
        """The unit's name."""
        return f"wanwu-{self.name}.service"

    def files(self, root: Path = Path("/")) -> dict[Path, str]:
        """Path → content of each file: the unit, the state folder's rights, and the account.

        Args:
            root: Of the file system that they are for.
        """
        etc = root / "etc"
        return {
            etc / "systemd/system" / self.unit: self._unit(),
            etc / "tmpfiles.d" / f"wanwu-{self.name}.conf": self._rights(),
            etc / "sysusers.d" / f"wanwu-{self.name}.conf": self._account(),
        }

    def _unit(self) -> str:
        return "\n".join(
            (
                "[Unit]",
                f"Description=Wanwu datasite {self.name}",
                "Documentation=man:systemd.service(5)",
                "Wants=network-online.target time-sync.target",
                "After=network-online.target time-sync.target",
                f"RequiresMountsFor={self.state} {self.program}",
                "",
                "[Service]",
                "# It says when both of its ports are open; the first start may have pictures to read before.",
                "Type=notify",
                "NotifyAccess=main",
                "TimeoutStartSec=infinity",
                f"User={self.account}",
                f"WorkingDirectory={self.program}",
                "Environment=OMP_NUM_THREADS=1",
                f"ExecStart={self.python} -m datasites serve --state {self.state}",
                "Restart=on-failure",
                "RestartSec=5",
                "# SIGTERM goes to the datasite, which ends its runs and has them run again later.",
                "KillMode=mixed",
                "TimeoutStopSec=30",
                "# Each run gets a control group of its own, with its limits of memory and processes.",
                "Delegate=yes",
                "LimitNOFILE=4096",
                f"ReadWritePaths={self.state}",
                *_HARDENING,
                "",
                "[Install]",
                "WantedBy=multi-user.target",
                "",
            )
        )

    def _rights(self) -> str:
        return f"d {self.state} 0700 {self.account} - -\n"

    def _account(self) -> str:
        return f'u {self.account} - "Wanwu datasite" {self.state.parent} -\n'
