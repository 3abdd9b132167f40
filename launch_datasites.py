"""Starts hospital datasites and stops them together.

    python launch_datasites.py                                    three demo hospitals with drawn blood cells
    python launch_datasites.py --data_path FOLDER_OR_NPZ          one datasite for each hospital found in the data
    python launch_datasites.py --config hospitals.toml            the hospitals described there
    python launch_datasites.py --name hospital_a --port 8081 --data_path DIR      one hospital, its own pictures

Each datasite is a process of its own with a state folder of its own. Started again over existing state, it finds its
datasets, accounts and approvals as they were. Ctrl-C or SIGTERM stops them all.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from datasites.cli.serving import wait_for_stdin
from datasites.files.state_folder import StateFolder
from policies.errors import ConfigError, WanwuError
from policies.settings import declared
from policies.terminal.commands import Command, option, option_of, run, switch
from policies.terminal.printing import say, say_error, show_everything

if TYPE_CHECKING:
    from datasites.config import DatasiteConfig

DEMO_RESEARCHER = "researcher@university.org"
READY_SECONDS = 120.0
MIXED_SIDE = 64
_PROJECT = Path(__file__).resolve().parent


@dataclass
class Started:
    """One datasite that was started."""

    config: DatasiteConfig
    state: StateFolder
    process: subprocess.Popen[bytes]


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
    wanted = Wanted(**given)  # type: ignore[arg-type]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _raise_stop)
    if wanted.stop_with_stdin:
        threading.Thread(target=wait_for_stdin, daemon=True).start()
    started: list[Started] = []
    try:
        configs = described(wanted)
        states = _check(configs, wanted.state)
        for config, state in zip(configs, states, strict=True):
            started.append(_start(config, state))
        _wait_until_ready(started)
        _print_overview(started)
        _wait_for_the_end(started)
    except _Stop:
        say("Stopping ...")
    except WanwuError as error:
        say_error(error)  # before the others are stopped, which takes a while
        return 1
    finally:
        _stop(started)
    return 0


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


def _several_hospitals(wanted: Wanted) -> list[DatasiteConfig]:
    """A hospital for each that the pictures name."""
    from datasites.config import DatasiteConfig
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
    size, channels = _form(data, wanted)
    called = datasite_names(names)
    for name, plain in zip(names, called, strict=True):
        if name != plain:
            say(f"The hospital {name} is called {plain} here.")
    first_port = wanted.port or declared(DatasiteConfig)["port"].default
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
    """Checks everything that can be checked before anything starts, writes the configs and reads new pictures."""
    from datasites.hospitals_file import check_distinct
    from datasites.prepare import asked_in_vain, check_data, stored_pictures, write_config
    from datasites.web.listening import listen

    check_distinct(configs)
    folders = [StateFolder(states / config.name) for config in configs]
    for config, state in zip(configs, folders, strict=True):
        listen(config.host, config.port).close()
        check_data(state, config)
    for config, state in zip(configs, folders, strict=True):
        ignored = asked_in_vain(state, config)
        write_config(state, config)
        if ignored:
            say(
                f"{config.name}: the dataset '{config.dataset.name}' was ingested before and stays as it is. Not read "
                f"again: {'; '.join(ignored)}. To publish other pictures or settings, set another name in [dataset]."
            )
        stored_pictures(state, config)  # here, where its progress is seen; the datasite finds them
    return folders


def _start(config: DatasiteConfig, state: StateFolder) -> Started:
    process = subprocess.Popen(
        [sys.executable, "-m", "datasites", "serve", "--stop_with_stdin", "--state", str(state.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONPATH": str(_PROJECT)},
        start_new_session=True,
    )
    return Started(config, state, process)


def _wait_until_ready(started: list[Started]) -> None:
    """Returns when every datasite has said that it is ready.

    Raises:
        ConfigError: One ended instead, or none of them did in time.
    """
    deadline = time.monotonic() + READY_SECONDS
    waiting = {one.process.stdout: one for one in started}
    with selectors.DefaultSelector() as selector:
        for stream in waiting:
            selector.register(stream, selectors.EVENT_READ)  # type: ignore[arg-type]
        while waiting:
            ready = selector.select(timeout=max(deadline - time.monotonic(), 0))
            if not ready:
                names = ", ".join(one.config.name for one in waiting.values())
                raise ConfigError(
                    f"Not ready within {READY_SECONDS:g} seconds: {names}. Look at logs/ in its state folder."
                )
            for key, _ in ready:
                one = waiting[key.fileobj]  # type: ignore[index]
                if not key.fileobj.readline().startswith(b"ready"):  # type: ignore[union-attr]
                    _raise_failure(one)
                selector.unregister(key.fileobj)
                del waiting[key.fileobj]  # type: ignore[arg-type]


def _raise_failure(one: Started) -> NoReturn:
    text = one.process.stderr.read().decode(errors="replace")  # type: ignore[union-attr]
    log = one.state.logs / "datasite.log"
    if log.exists():
        text += log.read_text(errors="replace")
    said = [line for line in text.splitlines() if line.startswith("WW")]
    reason = said[-1] if said else f"look at {log}"
    raise ConfigError(f"Datasite '{one.config.name}' did not start: {reason}")


def _print_overview(started: list[Started]) -> None:
    from policies.terminal.rich_terminal import PlainConsole, PlainTable

    table = PlainTable("datasite", "address", "dataset", "credentials (handed to researchers, mode 0600)")
    for one in started:
        table.add_row(one.config.name, one.config.url, one.config.dataset.name, f"{one.state.credentials}/")
    console = PlainConsole()
    console.print(table)
    console.print(
        "Hospital's side:    python -m datasites requests --state", f"{started[0].state.path}", soft_wrap=True
    )
    console.print("All datasites are ready. Ctrl-C stops them.")
    sys.stdout.flush()


def _wait_for_the_end(started: list[Started]) -> None:
    while True:
        for one in started:
            if one.process.poll() is not None:
                raise ConfigError(
                    f"Datasite '{one.config.name}' ended by itself; the others are stopped too. Look at "
                    f"{one.state.logs / 'datasite.log'}."
                )
        time.sleep(0.3)


def _stop(started: list[Started]) -> None:
    """Ends every datasite that was started: asks first, insists after a while."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
    for one in started:
        try:
            one.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()


def _raise_stop(number: int, frame: object) -> NoReturn:
    raise _Stop


def make_program() -> Command:
    """The program: one command."""
    program = Command(
        "python launch_datasites.py",
        launch,
        option("--config", "hospitals.toml: a table for each hospital", kind=Path, value="FILE"),
        option("--name", "start one hospital of this name"),
        option("--image_size", "resize a folder's pictures to this square", kind=int, value="PIXELS"),
        option("--state", "folder of the state folders", kind=Path, default=Path("state")),
        switch("--stop_with_stdin", "stop when standard input closes (used by the demo)"),
        later=_settings,
    )
    program.help = (__doc__ or "").replace("\n\n    python", "\n\n\b\n    python")  # lines that are not wrapped
    return program


def _settings() -> list[click.Parameter]:
    """Options that are settings of a hospital."""
    from datasites.config import DatasiteConfig
    from datasites.sources.dataset_settings import DatasetSettings

    settings = declared(DatasiteConfig)
    return [
        option_of(settings["port"], more=", and the next ones for further hospitals"),
        option_of(declared(DatasetSettings)["data_path"], kind=Path, value="PATH"),
        option_of(settings["researchers"], "--researcher", name="researchers", value="EMAIL", repeated=True),
    ]


if __name__ == "__main__":
    sys.exit(main())
