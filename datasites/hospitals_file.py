"""A file that describes several hospitals, for a trial on one machine, and what counts once they exist. It stays there.

A hospital that exists is described by its own config.toml, in which its limits stand, whatever is asked at a start.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasites.config import DatasiteConfig, with_dataset
from datasites.files.state_folder import StateFolder
from datasites.files.toml_file import read_toml
from policies.errors import ConfigError


def read_hospitals(path: Path) -> list[DatasiteConfig]:
    """Reads a hospitals.toml: one table per hospital, named after it. Relative data paths are from the file's folder.

    Raises:
        ConfigError: The file is missing, not TOML, empty, or holds a wrong setting; a name, a port or pictures
            repeat.
    """
    hospitals = []
    for name, values in read_toml(path).items():
        if not isinstance(values, Mapping):
            raise ConfigError(f"{path.name}: expected a table [{name}], got {name} = {values!r}.")
        config = DatasiteConfig.from_dict({"name": name, **values}, where=f"[{name}] of {path.name}")
        hospitals.append(replace(config, dataset=config.dataset.beside(path.parent)))
    if not hospitals:
        raise ConfigError(f"{path.name} names no hospital. Add a table such as [hospital_a] with port and data_path.")
    check_distinct(hospitals)
    return hospitals


def settings_given(path: Path) -> dict[str, frozenset[str]]:
    """Which settings each table of a hospitals.toml gives, by the hospital's name: `port`, `limits.total` ...

    Raises:
        ConfigError: As `read_hospitals`.
    """
    given = {}
    for name, values in read_toml(path).items():
        tables = with_dataset(values, f"[{name}] of {path.name}")
        given[name] = frozenset(
            f"{key}.{inner}" if inner else key
            for key, value in tables.items()
            for inner in (value if isinstance(value, Mapping) else ("",))
        )
    return given


def as_it_is(state: StateFolder, asked: DatasiteConfig, given: Collection[str]) -> tuple[DatasiteConfig, list[str]]:
    """The settings that a hospital is started with, and which of those given count for nothing.

    Guarantees:
        A hospital with a config.toml is started with what stands there, its limits among it, whatever is asked now.

    Args:
        state: The hospital's.
        asked: What a command line or a hospitals.toml says of it.
        given: Which of its settings were said there; the others are defaults.

    Raises:
        ConfigError: Other pictures are asked for than the hospital has, or its state folder cannot be told from a
            damaged one.
    """
    if not state.config.exists():
        if state.ledger.exists():
            raise ConfigError(
                f"{state.path} holds a ledger and no config.toml, in which the hospital's limits stood. Put the file "
                "back, or restore a backup; a new datasite needs another name or another --state."
            )
        return asked, []
    known = DatasiteConfig.from_toml(state.config)
    if known.name != asked.name:
        raise ConfigError(
            f"{state.config} is of the datasite '{known.name}', and its folder is called {state.name}. Call the folder "
            "as the datasite."
        )
    differing = {one: (_value(known, one), _value(asked, one)) for one in sorted(given)}
    differing = {one: (old, new) for one, (old, new) in differing.items() if old != new}
    if _other_pictures(differing):
        raise ConfigError(
            f"Datasite '{known.name}' in {state.path} has other pictures than are asked for: {_told(differing)}. To "
            "start it as it is, ask for no pictures: --name alone. For other pictures choose another --state or "
            "another name; new pictures of the same dataset are added with 'python -m datasites ingest'."
        )
    return known, [_told({one: values}) for one, values in differing.items()]


def _value(config: DatasiteConfig, setting: str) -> Any:
    value: Any = config
    for name in setting.split("."):
        value = getattr(value, name)
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def _told(differing: Mapping[str, tuple[Any, Any]]) -> str:
    """Each setting with both values; those of notices stay in their file, where an address may be a secret."""
    return ", ".join(
        one if one.startswith("notices") else f"{one} ({old} is there, {new} was asked)"
        for one, (old, new) in differing.items()
    )


def _other_pictures(differing: Mapping[str, tuple[Any, Any]]) -> bool:
    """Whether another dataset was asked for. The same one elsewhere, where the old place is gone, is none."""
    if {"dataset.name", "dataset.site"} & differing.keys():
        return True
    places = [differing[one] for one in ("dataset.data_path", "dataset.table") if one in differing]
    return any(Path(old).name != Path(new).name or Path(old).exists() for old, new in places)


def check_distinct(hospitals: list[DatasiteConfig]) -> None:
    """Refuses hospitals that share a name, a port or pictures.

    Guarantees:
        No two of them have the same place, table and part as their pictures: each has a budget of its own, and a
        patient at two of them would be told of twice as much as either allows. Copies of pictures are not noticed.

    Raises:
        ConfigError: Two do.
    """
    for what in ("name", "port"):
        seen: dict[Any, str] = {}
        for hospital in hospitals:
            value = getattr(hospital, what)
            if value in seen:
                raise ConfigError(f"Two hospitals have the {what} {value}: give each its own.")
            seen[value] = hospital.name
    places: dict[tuple[str, ...], str] = {}
    for hospital in hospitals:
        if not (place := _pictures_of(hospital)):
            continue
        if (other := places.setdefault(place, hospital.name)) != hospital.name:
            raise ConfigError(
                f"The hospitals {other} and {hospital.name} have the same pictures, of {place[0]}: their patients "
                "would be at both, and what is told of them be charged to two budgets. Give each its own data_path or "
                "site."
            )


def _pictures_of(hospital: DatasiteConfig) -> tuple[str, ...]:
    """What two hospitals with the same pictures have in common, the place first; empty where none are described."""
    dataset = hospital.dataset
    place, site = dataset.data_path, dataset.site
    if not place:
        return ()
    if (folder := Path(place)).is_dir():
        inner = folder / site
        place, site = (str(inner.resolve()), "") if inner.is_dir() else (str(folder.resolve()), site)
    return place, site, dataset.table, dataset.split
