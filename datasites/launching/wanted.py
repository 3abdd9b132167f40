"""The hospitals that a launch starts: those that its arguments describe, as they are where they exist already.

Nothing is started here: settings are read and checked, new pictures are read, and state folders are made ready.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datasites import first_settings as first
from datasites.assets.drawn.demo import write_demo
from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from datasites.files.state_folders import kept_names
from datasites.hospitals_file import as_it_is, check_distinct, read_hospitals, settings_given
from datasites.prepare import check_data, make_ready
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.sites import common_form, datasite_names, list_sites
from datasites.web.listening import listen
from policies.errors import ConfigError
from policies.terminal.printing import say

DEMO_RESEARCHER = "researcher@university.org"
MIXED_SIDE = 64


@dataclass(frozen=True)
class Wanted:
    """What the arguments say; None or empty where nothing was given, so that what is described already holds.

    Attributes:
        state: Folder of the state folders.
        config: A hospitals.toml.
        name: One hospital's name.
        port: Its port, or the first of several.
        data_path: Pictures.
        image_size: Side in pixels that pictures are resized to.
        researchers: E-mail addresses to enrol at the first start.
        stop_with_stdin: Whether the end of standard input is the end of all.
    """

    state: Path
    config: Path | None
    name: str | None
    port: int | None
    data_path: Path | None
    image_size: int | None
    researchers: tuple[str, ...]
    stop_with_stdin: bool


def described(wanted: Wanted) -> list[DatasiteConfig]:
    """The hospitals that the arguments ask for.

    Raises:
        ConfigError: Arguments that contradict each other, or what they name is not there.
    """

    if wanted.config:
        others = ("name", "port", "data_path", "image_size", "researchers")
        if given := [f"--{name.removesuffix('s')}" for name in others if getattr(wanted, name)]:
            raise ConfigError(f"--config already describes the hospitals. Leave out {' and '.join(given)}.")
        return read_hospitals(wanted.config)
    return [_one_hospital(wanted)] if wanted.name else _several_hospitals(wanted)


def started_as_they_are(wanted: Wanted, asked: Sequence[DatasiteConfig]) -> list[DatasiteConfig]:
    """The hospitals that are started: those that exist as their own config.toml says, which is not written.

    Raises:
        ConfigError: One that exists has other pictures than are asked for.
    """

    of_file = settings_given(wanted.config) if wanted.config else {}
    options = {"port": wanted.port, "dataset.size": wanted.image_size, "researchers": wanted.researchers}
    given = {name for name, value in options.items() if value not in (None, ())}
    if wanted.data_path or not wanted.name:
        given |= {"dataset.data_path"} if wanted.name else {"dataset.data_path", "dataset.site"}
    configs = []
    for one in asked:
        state = StateFolder(wanted.state / one.name)
        config, differing = as_it_is(state, one, of_file.get(one.name, given))
        if differing:
            say(
                f"{one.name} is started as {state.config} says. Asked otherwise and not taken: {'; '.join(differing)}. "
                "Change settings in that file, and limits with 'python -m datasites limits --set'."
            )
        configs.append(config)
    return configs


def _several_hospitals(wanted: Wanted) -> list[DatasiteConfig]:
    """A hospital for each that the pictures name."""

    data = wanted.data_path or _drawn_pictures(wanted.state)
    if not data.exists():
        raise ConfigError(f"No pictures at {data}. Give an existing folder or .npz file.")
    names = list_sites(data)
    if len(names) < 2:
        raise ConfigError(
            f"{data} holds {'one hospital' if names else 'no hospital'}; without --name there must be two or more: a "
            "subfolder for each in a folder, or different 'sites' in an .npz file."
        )
    called = kept_names(wanted.state, names, datasite_names(names))
    is_new = any(not StateFolder(wanted.state / name).config.exists() for name in called)
    side = wanted.image_size or 0
    size, channels = _form(data, wanted) if is_new else ((side, side), 0)
    for name, plain in zip(names, called, strict=True):
        if name != plain:
            say(f"The hospital {name} is called {plain} here.")
    first_port = wanted.port or first.PORT.default
    return [
        DatasiteConfig(
            name=called[index],
            port=first_port + index,
            dataset=DatasetSettings(data_path=str(data.resolve()), site=name, size=size, channels=channels),
            researchers=wanted.researchers or (DEMO_RESEARCHER,),
            require_sandbox=False,  # several hospitals on one machine are a trial; what is there is used all the same
        )
        for index, name in enumerate(names)
    ]


def _form(data: Path, wanted: Wanted) -> tuple[tuple[int, int], int]:
    """((height, width), channels) that all hospitals' pictures are brought to; zeros keep their own."""

    if not data.is_dir():
        return (0, 0), 0
    found = common_form(data)
    size = (0, 0)
    if wanted.image_size is not None:
        size = (wanted.image_size, wanted.image_size)
    elif len(found.sizes) > 1:
        size = (MIXED_SIDE, MIXED_SIDE)
        say(
            f"The pictures differ in size; all are resized to {MIXED_SIDE}x{MIXED_SIDE} (--image_size chooses another)."
        )
    return size, found.channels or 0


def _one_hospital(wanted: Wanted) -> DatasiteConfig:
    """The hospital that --name names: as it was described before, with what the arguments say now."""

    name = wanted.name or ""
    state = StateFolder(wanted.state / name)
    known = DatasiteConfig.from_toml(state.config) if state.config.exists() else DatasiteConfig(name=name)
    changes: dict[str, object] = {}
    if wanted.port is not None:
        changes["port"] = wanted.port
    dataset = known.dataset
    if wanted.data_path:
        dataset = replace(dataset, data_path=str(wanted.data_path.resolve()))
    if wanted.image_size is not None:
        dataset = replace(dataset, size=(wanted.image_size, wanted.image_size))
    changes["dataset"] = dataset
    if wanted.researchers:
        changes["researchers"] = wanted.researchers
    return replace(known, **changes)  # type: ignore[arg-type]


def _drawn_pictures(states: Path) -> Path:
    """The demo's drawn pictures and their public hold-out, as .npz files beside the state folders."""

    return write_demo(states / "drawn")


def made_ready(configs: list[DatasiteConfig], states: Path) -> list[StateFolder]:
    """The state folders of hospitals, for which all is checked that can be before anything starts.

    Writes new configs and reads new pictures.

    Args:
        configs: The hospitals.
        states: Folder of the state folders.

    Raises:
        ConfigError: Names or ports repeat, a port is taken, or a setting or a state folder is wrong.
        DataError: Pictures cannot be read, or stop for a person to look at.
    """

    check_distinct(configs)
    folders = [StateFolder(states / config.name) for config in configs]
    for config, state in zip(configs, folders, strict=True):
        where = f"port in {state.config}" if state.config.exists() else "--port, or port of its table in --config"
        listen(config.host, config.port, chosen_by=where).close()
        check_data(state, config)
    for config, state in zip(configs, folders, strict=True):
        make_ready(state, config)  # here, where its progress is seen; the datasite finds the pictures
    return folders
