"""Requests that a submission left at hospitals before it was made again with other settings: found and taken back.

A submission that is killed before its folder names a request leaves its plan here and its requests' names with those
that are on their way. Where the folder's next submission has another plan, each hospital is asked whether it has the
earlier request, and that one is withdrawn before the new one is made. A hospital of before release 0.3 cannot be asked:
it is sent the earlier request once more under its own name, and hands out the one that it has.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from policies.errors import ConfigError, DatasiteUnreachable, WanwuError
from policies.plans.kinds import Plan, parse
from policies.untrusted_text import shown
from researcher import atomic_file
from researcher.hospitals.federation import Federation

LEFT_BEHIND_FILE = "left_behind.json"
"""Name of the file in a study's folder that is there while it is submitted, or a request of an earlier plan is not
taken back.
"""


@dataclass(frozen=True)
class _Earlier:
    """An earlier plan, as it was sent, the names of its stubs by datasite, and why some could not be taken back."""

    plan: str
    names: dict[str, str]
    reasons: dict[str, str]


class LeftBehind:
    """What earlier submissions from one folder may have left at hospitals.

    Attributes:
        taken_back: Datasite → what was done with the request that it had, of those that had one.
    """

    def __init__(self, folder: Path) -> None:
        """Reads the file.

        Args:
            folder: Of the study.

        Raises:
            ConfigError: It cannot be read: nobody could tell what was left.
        """
        self._file = folder / LEFT_BEHIND_FILE
        self._plan, self._earlier = _read(self._file)
        self.taken_back: dict[str, str] = {}

    @property
    def names(self) -> dict[str, str]:
        """Datasite → why a request of an earlier plan may still be there; empty where it was not asked for yet."""
        return {at: one.reasons.get(at, "") for one in self._earlier for at in one.names}

    def begin(self, plan: Plan, noted: dict[str, str]) -> None:
        """Keeps the plan that is submitted now; what is noted for another one is an earlier submission's.

        Args:
            plan: Of the folder.
            noted: Datasite → name of its stub, of requests on their way that are not of this plan.

        Raises:
            ConfigError: The folder cannot be written.
        """
        known = {name for one in self._earlier for name in one.names.values()}
        left = {at: name for at, name in noted.items() if name not in known}
        text = plan.to_json()
        if left:
            self._earlier.append(_Earlier("" if self._plan == text else self._plan, left, {}))
        self._plan = text
        self._save()

    def submitted(self) -> None:
        """The folder names the study's requests: its plan is kept there.

        Raises:
            ConfigError: The folder cannot be written.
        """
        if self._plan:
            self._plan = ""
            self._save()

    def take_back(self, name: str, federation: Federation) -> None:
        """Withdraws, or ends where it was approved, what earlier submissions may have left at a hospital.

        Where a hospital of before release 0.3 takes the earlier plan no more, it has no such request, or its limits
        were changed since: the new request is made then, and the earlier one stays in `names`.

        Args:
            name: The datasite's.
            federation: The hospitals.

        Raises:
            DatasiteUnreachable: The hospital cannot be asked now, so it is not asked for the new plan either.
            ConfigError: The folder cannot be written.
        """
        for index, one in enumerate(self._earlier):
            if name not in one.names:
                continue
            try:
                if done := _taken_back(name, one, federation):
                    self.taken_back[name] = done
            except DatasiteUnreachable:
                raise
            except WanwuError as error:
                why = shown(f"{error.code}: {error.public}")
                self._earlier[index] = replace(one, reasons={**one.reasons, name: why})
            else:
                names = {at: stub for at, stub in one.names.items() if at != name}
                self._earlier[index] = replace(one, names=names)
            self._save()

    def _save(self) -> None:
        self._earlier = [one for one in self._earlier if one.names]
        if self._plan or self._earlier:
            values = {"plan": self._plan, "earlier": [vars(one) for one in self._earlier]}
            atomic_file.write(self._file, json.dumps(values, indent=2))
        else:
            self._file.unlink(missing_ok=True)


def _taken_back(name: str, earlier: _Earlier, federation: Federation) -> str:
    """What was done with the request under this stub's name; empty where the hospital says that it has none."""
    stub_name = earlier.names[name]
    if federation.asked(name, lambda hospital: hospital.routes.tells_stubs()):
        if (there := federation.asked(name, lambda hospital: hospital.routes.request_of_stub(stub_name))) is None:
            return ""
        request = there.request
    else:
        plan = parse(earlier.plan)
        request = federation.asked(name, lambda hospital: hospital.submit(plan, stub_name)).request_id
    state = federation.asked(name, lambda hospital: hospital.routes.request(request)).state
    if state == "pending":
        federation.asked(name, lambda hospital: hospital.routes.withdraw(request))
        return "withdrawn"
    if state == "approved":
        federation.asked(name, lambda hospital: hospital.routes.end(request))
        return "ended, as it was approved"
    return f"{shown(state)} already"


def _read(file: Path) -> tuple[str, list[_Earlier]]:
    if not file.exists():
        return "", []
    try:
        values = json.loads(atomic_file.read(file))
        earlier = [_Earlier(**one) for one in values["earlier"]]
        if not all(isinstance(part, dict) for one in earlier for part in (one.names, one.reasons)):
            raise TypeError("names are no table")
        return str(values["plan"]), earlier
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{file} was changed or cut, and only it tells which requests this folder may have left at hospitals. "
            "Choose another folder, and ask the hospitals' people to deny what you do not need."
        ) from error
