"""Requests on their way to hospitals: noted in a study's folder before they are sent, so that none is lost there.

Whoever is killed, or loses the line, between a hospital's taking of a request and the note of it, submits it again
under the name that stands here, and the hospital hands out the one that it has.
"""

from __future__ import annotations

import json
from pathlib import Path

from policies.errors import DatasiteUnreachable, WanwuError
from policies.plans import stub
from researcher import atomic_file

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
        plan_digest: Of its plan; what was noted for another plan is not its.
    """

    def __init__(self, folder: Path, plan_digest: str) -> None:
        self._folder, self._digest = folder, plan_digest
        self._names = {at: name for at, name in _noted(folder).items() if self._is_its(name)}
        self._before = set(self._names)

    def name_for(self, datasite: str) -> str:
        """The name of a hospital's stub: the one that was noted, else a new one, which is noted now.

        Raises:
            ConfigError: The folder cannot be written.
        """
        if datasite not in self._names:
            self._names[datasite] = stub.new_name(self._digest)
            self._save()
        return self._names[datasite]

    def arrived(self, datasite: str) -> None:
        """The study names the hospital's request.

        Raises:
            ConfigError: The folder cannot be written.
        """
        if self._names.pop(datasite, None) is not None:
            self._save()

    def refused(self, datasite: str, error: WanwuError) -> None:
        """The hospital did not take it, unless only its answer was lost, or it was taken at an earlier try.

        Raises:
            ConfigError: The folder cannot be written.
        """
        if not isinstance(error, DatasiteUnreachable) and datasite not in self._before:
            self.arrived(datasite)

    def _is_its(self, name: str) -> bool:
        return stub.is_canonical(name, stub.source(name), self._digest)

    def _save(self) -> None:
        if self._names:
            atomic_file.write(self._folder / ON_THE_WAY_FILE, json.dumps(self._names, indent=2))
        else:
            (self._folder / ON_THE_WAY_FILE).unlink(missing_ok=True)


def _noted(folder: Path) -> dict[str, str]:
    """Datasite → name of its stub; nothing where no such file can be read: then the requests are made anew."""
    try:
        noted = json.loads((folder / ON_THE_WAY_FILE).read_text())
        return {str(at): str(name) for at, name in noted.items()}
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}
