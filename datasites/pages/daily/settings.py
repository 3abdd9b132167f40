"""The page of the datasite's settings: each with its value and its help, and whether it may change while it serves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from datasites.config import DatasiteConfig
from datasites.console.console import AUDITS
from datasites.files.toml_file import toml_value
from datasites.notices.settings import NoticeSettings
from datasites.pages.frame.views import Answer, Page, Pages
from datasites.pages.frame.visit import Visit
from datasites.pages.languages.languages import to_translate
from datasites.sources.dataset_settings import DatasetSettings
from policies.settings import declared

_TABLES = ("dataset", "notices", "limits")


@dataclass(frozen=True)
class SettingRow:
    """One setting.

    Attributes:
        name: As the file has it.
        value: As the file would have it.
        help: What it is.
        default: Whether it is what holds if nobody gives it.
    """

    name: str
    value: str
    help: str
    default: bool


@dataclass(frozen=True)
class SettingTable:
    """A table of the file: its name, empty for the first, and its settings."""

    name: str
    rows: tuple[SettingRow, ...]


def tables_of(config: DatasiteConfig) -> tuple[SettingTable, ...]:
    """The settings that take a new start to change, table by table."""
    parts = (("", config), ("dataset", config.dataset), ("notices", config.notices))
    return tuple(SettingTable(name, tuple(_rows(settings))) for name, settings in parts)


def make_pages(config: DatasiteConfig) -> Pages:
    """The settings."""
    pages = Pages()

    @pages.get("/settings", AUDITS, place=to_translate("Settings"))
    def every(visit: Visit) -> Answer:
        changing = [one.name for one in declared(DatasiteConfig).values() if one.while_serving]
        return Page("daily/settings.html.jinja", {"tables": tables_of(config), "changing": changing})

    return pages


def _rows(settings: DatasiteConfig | DatasetSettings | NoticeSettings) -> Iterator[SettingRow]:
    owner: type = type(settings)
    told = declared(owner)
    for one in fields(settings):
        if one.name in told and not (isinstance(settings, DatasiteConfig) and one.name in _TABLES):
            value = getattr(settings, one.name)
            yield SettingRow(one.name, toml_value(value), told[one.name].help, value == told[one.name].default)
