"""TOML as the platform reads and writes it. It stays in the hospital."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from policies.errors import ConfigError


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        ConfigError: It is missing, unreadable, or not TOML.
    """
    try:
        content = path.read_bytes()
        return tomllib.loads(content.decode("utf-8-sig"))  # Windows' editors begin a file with a byte order mark
    except FileNotFoundError as error:
        raise ConfigError(f"No file {path}. Give the path of a TOML file.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8. In the editor, save it anew as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error


def toml_value(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        shown = "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in escaped)
        return f'"{shown}"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return repr(value)
