"""Starts hospital datasites and stops them together.

    python launch_datasites.py
        three demo hospitals with drawn blood cells
    python launch_datasites.py --data_path FOLDER_OR_NPZ
        one datasite for each hospital found in the data
    python launch_datasites.py --config hospitals.toml
        the hospitals described there
    python launch_datasites.py --name hospital_a --port 8081 --data_path DIR
        one hospital, its own pictures

Each datasite is a process of its own with a state folder of its own. Started again over existing state, it finds its
settings, datasets, accounts and approvals as they were: its own config.toml counts, which no launch writes again.
Ctrl-C, SIGTERM or the end of the terminal stops them all. One that ends by itself leaves the others running: what it
was and how its log ends is printed, and the exit status is 1 in the end.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn

import click

from datasites import first_settings as first
from policies.errors import ConfigError, WanwuError
from policies.terminal.commands import Command, option, option_of, path, run, switch
from policies.terminal.printing import say, say_error, show_everything
from policies.terminal.version_option import version_option

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from datasites.config import DatasiteConfig
    from datasites.datasite_process import DatasiteProcess
    from datasites.files.state_folder import StateFolder

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


class _Stop(Exception):
    """A signal asked for the end."""


def main() -> int:
    """Starts what the arguments name, waits for the end, stops it all; returns the exit status."""
    show_everything()
    return run(make_program(), None)


def launch(**given: object) -> int:
    """Starts hospital datasites and stops them together."""
    from datasites.datasite_process import DatasiteProcess, stop, wait_for_the_last, wait_until_ready

    wanted = Wanted(**given)  # type: ignore[arg-type]
    _at_a_stop(_raise_stop)
    if wanted.stop_with_stdin:
        from datasites.cli.serving import wait_for_stdin

        threading.Thread(target=wait_for_stdin, daemon=True).start()
    started: list[DatasiteProcess] = []
    ended: list[ConfigError] = []

    def lost(error: ConfigError) -> None:
        ended.append(error)
        say_error(error, private=True)
        if left := len(started) - len(ended):
            say(f"{left} of {len(started)} datasites go on.", to_errors=True)

    try:
        configs = started_as_they_are(wanted, described(wanted))
        states = _check(configs, wanted.state)
        for config, state in zip(configs, states, strict=True):
            started.append(DatasiteProcess.start(config, state))
        ready = wait_until_ready(started, lost)
        if ready:
            _print_overview(ready, of=len(started))
        wait_for_the_last(ready, lost)
    except _Stop:
        say("Stopping ...")
    except WanwuError as error:
        say_error(error)  # before the others are stopped, which takes a while
        return 1
    finally:
        _at_a_stop(signal.SIG_IGN)
        stop(started)
    return 1 if ended else 0


def described(wanted: Wanted) -> list[DatasiteConfig]:
    """The hospitals that the arguments ask for.

    Raises:
        ConfigError: Arguments that contradict each other, or what they name is not there.
    """
    from datasites.hospitals_file import read_hospitals

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
    from datasites.files.state_folder import StateFolder
    from datasites.hospitals_file import as_it_is, settings_given

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
    from datasites.config import DatasiteConfig
    from datasites.files.state_folder import StateFolder
    from datasites.files.state_folders import kept_names
    from datasites.sources.dataset_settings import DatasetSettings
    from datasites.sources.sites import datasite_names, list_sites

    data = wanted.data_path or _drawn_pictures(wanted.state)
    if not data.exists():
        raise ConfigError(f"No pictures at {data}. Give an existing folder or .npz file.")
    names = list_sites(data)
    if len(names) < 2:
        raise ConfigError(
            f"{data} holds {len(names)} hospital(s); without --name there must be two or more: a subfolder for each in "
            "a folder, or different 'sites' in an .npz file."
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
    from datasites.sources.sites import common_form

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
    from datasites.config import DatasiteConfig
    from datasites.files.state_folder import StateFolder

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
    from datasites.assets.drawn.demo import write_demo

    return write_demo(states / "drawn")


def _check(configs: list[DatasiteConfig], states: Path) -> list[StateFolder]:
    """Checks everything that can be checked before anything starts, writes new configs and reads new pictures."""
    from datasites.files.state_folder import StateFolder
    from datasites.hospitals_file import check_distinct
    from datasites.prepare import check_data, make_ready
    from datasites.web.listening import listen

    check_distinct(configs)
    folders = [StateFolder(states / config.name) for config in configs]
    for config, state in zip(configs, folders, strict=True):
        where = f"port in {state.config}" if state.config.exists() else "--port, or port of its table in --config"
        listen(config.host, config.port, chosen_by=where).close()
        check_data(state, config)
    for config, state in zip(configs, folders, strict=True):
        make_ready(state, config)  # here, where its progress is seen; the datasite finds the pictures
    return folders


def _print_overview(started: Sequence[DatasiteProcess], *, of: int) -> None:
    from policies.terminal.rich_terminal import PlainConsole, PlainTable

    table = PlainTable("datasite", "address", "dataset")
    for one in started:
        table.add_row(one.config.name, one.config.url, one.config.dataset.name)
    console = PlainConsole()
    console.print(table)
    console.print("To hand to researchers, one file each (mode 0600):")
    for one in started:
        console.print(f"  {one.state.credentials}/", soft_wrap=True)
    console.print(
        "Hospital's side:    python -m datasites requests --state", f"{started[0].state.path}", soft_wrap=True
    )
    ready = "All datasites are" if len(started) == of else f"{len(started)} of {of} datasites are"
    console.print(f"{ready} ready. Ctrl-C stops them.")
    sys.stdout.flush()


def _at_a_stop(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
    """Sets what happens when somebody asks for the end. With nohup, closing the terminal is none."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def _raise_stop(number: int, frame: object) -> NoReturn:
    raise _Stop


def make_program() -> Command:
    """The program: one command."""
    program = Command(
        "python launch_datasites.py",
        launch,
        option("--config", "hospitals.toml: a table for each hospital", kind=path, value="FILE"),
        option("--name", "start one hospital of this name"),
        option("--image_size", "resize a folder's pictures to this square", kind=int, value="PIXELS"),
        option("--state", "folder of the state folders", kind=path, default="state"),
        switch("--stop_with_stdin", "stop when standard input closes (used by the demo)"),
        later=_settings,
    )
    program.params.append(version_option(_state))
    program.help = (__doc__ or "").replace("\n\n    python", "\n\n\b\n    python")  # lines that are not wrapped
    return program


def _state() -> str:
    from datasites.state.version import STATE_VERSION

    return f"state {STATE_VERSION}"


def _settings() -> list[click.Parameter]:
    """Options that are settings of a hospital."""
    return [
        option_of(first.PORT, more=", and the next ones for further hospitals"),
        option_of(first.DATA_PATH, kind=path, value="PATH"),
        option_of(first.RESEARCHERS, "--researcher", name="researchers", value="EMAIL", repeated=True),
    ]


if __name__ == "__main__":
    sys.exit(main())
