"""Installing a datasite as a service, and undoing it: what will be done is a value, told before it is done."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from datasites.installation import steps
from datasites.installation.service import Service, hidden_by
from datasites.installation.steps import Step
from datasites.installation.written_files import marked, remove_each, write_each
from datasites.state.lock import refuse_running
from policies.errors import ConfigError

_PROGRAM = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Installation:
    """A datasite's service on a machine, to be made or undone.

    Attributes:
        state: The datasite's state folder.
        service: What systemd is told.
        files: Path → content of each of its files.
        elsewhere: Whether the files are for the file system below another root, where nothing is started.
        pictures_hidden: Folder that hides the datasite's pictures from the service; None where it sees them.
    """

    state: StateFolder
    service: Service
    files: dict[Path, str]
    elsewhere: bool
    pictures_hidden: str | None

    @classmethod
    def of(cls, state: StateFolder, account: str, root: Path | None) -> Self:
        """The service of a datasite, with the environment that runs this command.

        Args:
            state: Its state folder.
            account: It runs as this one.
            root: Of the file system to write to; None for this machine's own.

        Raises:
            ConfigError: A path or the account cannot be one of a service, or a link leads out of the root.
        """
        config = DatasiteConfig.from_toml(state.config)
        service = Service(config.name, state.path.resolve(), Path(sys.executable).absolute(), _PROGRAM, account)
        files = service.files() if root is None else service.files(root)
        for file in files:
            if root is not None and not file.parent.resolve().is_relative_to(root.resolve()):
                raise ConfigError(f"{file.parent} is a link out of {root}. Nothing was changed: look at it first.")
        return cls(state, service, files, root is not None, hidden_by(Path(config.dataset.data_path)))

    def steps(self, *, start: bool) -> tuple[Step, ...]:
        """What follows when the files are written."""
        return () if self.elsewhere else steps.of_installing(self.service, start=start)

    def steps_back(self) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
        """What goes before the files are removed, and what follows."""
        return ((), ()) if self.elsewhere else steps.of_uninstalling(self.service, unit_there=self._unit_there)

    @property
    def _unit_there(self) -> bool:
        return any(file.name == self.service.unit and file.exists() for file in self.files)

    def lines(self) -> list[str]:
        """Every file with all its lines, as it will be written."""
        return [
            line for file, content in self.files.items() for line in ("", f"--- {file}", *marked(content).splitlines())
        ]

    def there(self) -> list[Path]:
        """Its files that are there.

        Raises:
            ConfigError: None is.
        """
        found = [file for file in self.files if file.exists()]
        if not found:
            raise ConfigError(f"{self.service.unit} is not installed: none of its files is there.")
        return found

    def check(self) -> None:
        """Returns where it can be installed now.

        Raises:
            ConfigError: The machine, this account or the running datasite is in the way.
        """
        if not self.elsewhere:
            steps.check_machine()
            steps.refuse_root(self.service.account)
            refuse_running(self.state)

    def install(self, *, start: bool) -> None:
        """Writes the files and does the steps.

        Raises:
            ConfigError: A file of somebody else is in the way, and nothing was written; or a step failed, and what was
                done before it holds.
        """
        write_each(self.files)
        for step in self.steps(start=start):
            steps.do(step, self.service)

    def uninstall(self) -> tuple[list[Path], list[Path]]:
        """Stops the datasite and removes the files.

        Returns:
            What was removed, and what was left since somebody changed it.

        Raises:
            ConfigError: A step failed, or this machine has no such services, or the datasite runs without its unit.
        """
        if not self.elsewhere:
            steps.check_machine()
            if not self._unit_there:  # nothing stops it then
                refuse_running(self.state)
        before, after = self.steps_back()
        for step in before:
            steps.do(step, self.service)
        removed, left = remove_each(self.files)
        for step in after:
            steps.do(step, self.service)
        return removed, left
