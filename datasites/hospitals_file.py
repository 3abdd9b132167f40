"""A file that describes several hospitals, for a trial on one machine. It stays there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasites.config import DatasiteConfig
from datasites.files.toml_file import read_toml
from policies.errors import ConfigError


def read_hospitals(path: Path) -> list[DatasiteConfig]:
    """Reads a hospitals.toml: one table per hospital, named after it. Relative data paths are from the file's folder.

    Raises:
        ConfigError: The file is missing, not TOML, empty, or holds a wrong setting; names or ports that repeat.
    """
    hospitals = []
    for name, values in read_toml(path).items():
        if not isinstance(values, Mapping):
            raise ConfigError(f"{path.name}: expected a table [{name}], got {name} = {values!r}.")
        settings = {"name": name, **values}
        if settings.get("data_path") and not Path(settings["data_path"]).is_absolute():
            settings["data_path"] = str((path.parent / settings["data_path"]).resolve())
        hospitals.append(DatasiteConfig.from_dict(settings, where=f"[{name}] of {path.name}"))
    if not hospitals:
        raise ConfigError(f"{path.name} names no hospital. Add a table such as [hospital_a] with port and data_path.")
    check_distinct(hospitals)
    return hospitals


def check_distinct(hospitals: list[DatasiteConfig]) -> None:
    """Refuses hospitals that share a name or a port."""
    for what in ("name", "port"):
        seen: dict[Any, str] = {}
        for hospital in hospitals:
            value = getattr(hospital, what)
            if value in seen:
                raise ConfigError(f"Two hospitals have the {what} {value}: give each its own.")
            seen[value] = hospital.name
