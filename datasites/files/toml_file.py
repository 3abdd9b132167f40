"""TOML as the platform reads and writes it. It stays in the hospital."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from policies.errors import ConfigError
from policies.untrusted_text import line_of, odd_character


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        ConfigError: It is missing, unreadable, or not TOML.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # Windows' editors begin a file with a byte order mark
    except FileNotFoundError as error:
        raise ConfigError(f"No file {path}. Give the path of a TOML file.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8. In the editor, save it anew as UTF-8.") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        if "\0" in text:
            raise ConfigError(
                f"{path} holds zero bytes, as UTF-16 without its mark does, or a file that a failing disk left. In the "
                "editor, save it anew as UTF-8."
            ) from error
        line = line_of(error, text)
        if odd := odd_character(line):
            raise ConfigError(
                f"{path} is not valid TOML: {error}. In that line stands {odd}, which looks "
                "like another character or like none. Type the line anew with plain quotes, signs and spaces."
            ) from error
        if '"' in line and "\\" in line:
            raise ConfigError(
                f"{path} is not valid TOML: {error}. A backslash between double quotes begins a code: write paths with "
                "/, or put them between single quotes."
            ) from error
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
