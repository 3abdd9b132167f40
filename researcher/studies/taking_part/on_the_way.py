"""Requests on their way to hospitals: noted in a study's folder before they are sent, so that none is lost there.

Whoever is killed, or loses the line, between a hospital's taking of a request and the note of it, submits it again
under the name that stands here, and the hospital hands out the one that it has.
"""

from __future__ import annotations

import json
from pathlib import Path

from policies.errors import ConfigError, DatasiteUnreachable, WanwuError
from policies.plans import stub
from policies.plans.kinds import Plan
from researcher import atomic_file
from researcher.hospitals.federation import Federation
from researcher.studies.taking_part.left_behind import LeftBehind

ON_THE_WAY_FILE = "on_the_way.json"
"""Name of the file in a study's folder that is there while a hospital may have a request that the study does not name.
"""


def on_the_way(folder: Path | str) -> tuple[str, ...]:
    """The hospitals that may have such a request.

    Args:
        folder: Of the study.
    """
    return tuple(_noted(Path(folder)))


class OnTheWay:
    """The requests of one plan that are on their way.

    Args:
        folder: Of the study.
        plan: Its plan; what was noted for another plan is not its.
        federation: The hospitals.

    Raises:
        ConfigError: The folder cannot be read.
    """

    def __init__(self, folder: Path, plan: Plan, federation: Federation) -> None:
        self._folder, self._plan, self._federation, self._digest = folder, plan, federation, plan.digest()
        self._names = {at: name for at, name in _noted(folder).items() if self._is_its(name)}
        self._before, self._behind = set(self._names), LeftBehind(folder)

    def begin(self) -> None:
        """Keeps the plan until the folder holds a study, and knows what was noted for another plan as left behind.

        Raises:
            ConfigError: The folder cannot be written.
        """
        others = {at: name for at, name in _noted(self._folder).items() if not self._is_its(name)}
        self._behind.begin(self._plan, others)

    @property
    def taken_back(self) -> dict[str, str]:
        """Datasite → what was done with the request of another plan that was left there, of those that had one."""
        return self._behind.taken_back

    def name_for(self, datasite: str) -> str:
        """The name of a hospital's stub: the one that was noted, else a new one, which is noted now.

        What the folder's earlier submissions left at the hospital is taken back first.

        Raises:
            ConfigError: The folder cannot be written.
            DatasiteUnreachable: Something may be left there, and the hospital cannot be asked now.
        """
        self._behind.take_back(datasite, self._federation)
        if datasite not in self._names:
            self._names[datasite] = stub.new_name(self._digest)
            self._save()
        return self._names[datasite]

    def arrived(self, datasite: str) -> None:
        """The study names the hospital's request.

        Raises:
            ConfigError: The folder cannot be written.
        """
        self._behind.submitted()
        self._forget(datasite)

    def refused(self, datasite: str, error: WanwuError) -> None:
        """The hospital did not take it, unless only its answer was lost, or it was taken at an earlier try.

        Raises:
            ConfigError: The folder cannot be written.
        """
        if not isinstance(error, DatasiteUnreachable) and datasite not in self._before:
            self._forget(datasite)

    def _forget(self, datasite: str) -> None:
        if self._names.pop(datasite, None) is not None:
            self._save()

    def _is_its(self, name: str) -> bool:
        return stub.is_canonical(name, stub.source(name), self._digest)

    def _save(self) -> None:
        if self._names:
            atomic_file.write(self._folder / ON_THE_WAY_FILE, json.dumps(self._names, indent=2))
        else:
            (self._folder / ON_THE_WAY_FILE).unlink(missing_ok=True)


def _noted(folder: Path) -> dict[str, str]:
    """Datasite → name of its stub; nothing where no such file is, or none that was written whole: the requests are made
    anew then.

    Raises:
        ConfigError: The disk does not let it be read: a hospital may have a request that only it names.
    """
    try:
        noted = json.loads(atomic_file.read(folder / ON_THE_WAY_FILE))
        return {str(at): str(name) for at, name in noted.items()}
    except (ValueError, AttributeError, RecursionError):
        return {}
    except ConfigError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return {}
        raise
