"""A file that describes several hospitals, for a trial on one machine. It stays there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
        config = DatasiteConfig.from_dict({"name": name, **values}, where=f"[{name}] of {path.name}")
        hospitals.append(replace(config, dataset=config.dataset.beside(path.parent)))
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
