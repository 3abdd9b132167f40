"""What all programs' command lines have in common, read from the programs themselves."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import pytest
import references
from references import PROJECT

import datasites.cli
import launch_datasites
import policies
import policies.__main__
import researcher.cli
from datasites.state.version import STATE_VERSION
from policies.terminal.commands import Command, run
from policies.versions.protocol import PROTOCOLS

MAINS: dict[str, Callable[[list[str]], int]] = {
    "python -m datasites": datasites.cli.main,
    "python -m researcher": researcher.cli.main,
    "python -m policies": policies.__main__.main,
}
# Options of other programs, which ours call or advise; the last two are an example and a colour of a page.
OF_OTHERS = {
    *("--query-gpu", "--python", "--clear", "--no-deps", "--logdir", "--data-binary"),
    "--files",
    # What Slurm's programs take: the words of a job.
    *("--quiet", "--nodes", "--ntasks", "--job-name", "--time", "--cpus-per-task", "--mem", "--export", "--propagate"),
    *("--mpi", "--chdir", "--user", "--noheader", "--format", "--oneliner"),
    "--accent",
    *("--require-hashes", "--no-build", "--encoding", "--template"),
    "--now",
    "--create",
}
# What no help needs, each too slow for one.
HEAVY = {
    *("torch", "syft", "numpy", "opacus", "pandas", "scipy", "matplotlib", "timm", "torchvision", "sklearn"),
    *("pydantic", "fastapi", "uvicorn", "httpx", "requests", "rich", "cryptography", "sqlite3", "asyncio", "logging"),
    *("zstandard", "safetensors", "PIL", "jinja2", "pydicom", "nibabel", "openpyxl", "pyarrow"),
    *("pathlib", "tomllib", "hashlib", "secrets", "subprocess", "ipaddress", "decimal"),
    # A plan's settings are told by a table made from these.
    *("policies.plans.training", "policies.plans.objective", "policies.plans.server", "policies.plans.words"),
    *("researcher.planning.settings", "researcher.simulation.settings", "researcher.studies"),
}
HELPS = """
import contextlib, io, json, sys
sys.path[:0] = [{project!r}]
import launch_datasites
from datasites.cli import program as hospital
from policies import __main__ as checks
from policies.terminal.commands import run
from researcher.cli import program as study

found = {{}}
for part in (launch_datasites, hospital, checks, study):
    program = part.make_program()
    for words in {words!r}[program.name]:
        with contextlib.redirect_stdout(io.StringIO()):
            status = run(program, [*words, "--help"])
        loaded = sorted({{name.split(".")[0] for name in sys.modules}} | set(sys.modules))
        found[" ".join([program.name, *words])] = [status, loaded]
print(json.dumps(found))
"""


def _commands() -> list[str]:
    return [one for call, program in references.programs().items() for one, _, _ in references.commands(call, program)]


def _words(command: str) -> tuple[str, list[str]]:
    call = next(call for call in references.programs() if command.startswith(call))
    return call, command.removeprefix(call).split()


def test_no_help_imports_what_is_slow() -> None:
    words: dict[str, list[list[str]]] = {call: [[]] for call in references.programs()}
    for command in _commands():
        call, own = _words(command)
        words[call] += [own] if own else []
    script = HELPS.format(project=str(PROJECT), words=words)
    ran = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout)
    assert len(found) > 40
    assert {command: status for command, (status, _) in found.items() if status} == {}
    assert {command: sorted(HEAVY & set(loaded)) for command, (_, loaded) in found.items() if HEAVY & set(loaded)} == {}


def test_a_help_is_whole_although_its_process_ends_at_once() -> None:
    calls = (["-m", "datasites", "--help"], ["-c", "from datasites.cli import main; main(['--help'])"])
    ran = [subprocess.run([sys.executable, *call], cwd=PROJECT, capture_output=True, check=True) for call in calls]
    assert ran[0].stdout == ran[1].stdout and ran[0].stdout.endswith(b"\n") and not ran[0].stderr


def test_a_version_is_one_line_with_all_that_has_a_version_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    told = f"Wanwu {policies.__version__}, protocol {PROTOCOLS[-1]}"
    launcher = partial(run, launch_datasites.make_program())
    with_state = f"{told}, state {STATE_VERSION}"
    for main, line in ((researcher.cli.main, told), (datasites.cli.main, with_state), (launcher, with_state)):
        assert main(["--version"]) == 0
        assert capsys.readouterr().out == f"{line}\n"


@pytest.mark.parametrize("command", [one for one in _commands() if "launch_datasites" not in one])
def test_an_unknown_option_is_one_line_and_ends_with_2(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    call, words = _words(command)
    assert MAINS[call]([*words, "--no_such_option", "1"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"{command}: error: No such option '--no_such_option'")
    assert printed.err.count("\n") == 1 and not printed.out


@pytest.mark.parametrize("command", _commands())
def test_a_help_says_what_each_argument_is(command: str) -> None:
    call, words = _words(command)
    program = references.programs()[call]
    for word in words:
        assert isinstance(program, click.Group)
        program = program.commands[word]
    assert program.help
    context = click.Context(program, info_name=command)
    told = " ".join(program.get_help(context).split())
    for param in program.get_params(context):
        if isinstance(param, click.Option) and param.hidden:  # it says where the real one is
            continue
        assert param.help, param.name
        assert all(option in told for option in param.opts if isinstance(param, click.Option))


def test_a_help_fits_80_columns_and_a_list_of_commands_says_each_in_one_paragraph() -> None:
    programs = references.programs()
    everything = [one for call, program in programs.items() for one in _with_those_within(call, program)]
    assert len(everything) > 60
    helps = {name: one.get_help(click.Context(one, info_name=name, terminal_width=78)) for name, one in everything}
    assert [line for told in helps.values() for line in told.splitlines() if len(line) > 80] == []
    listed = {name: one.get_short_help_str() for name, one in everything if isinstance(one, Command)}
    assert [name for name, told in listed.items() if told != " ".join(told.split()) or not told] == []


def _with_those_within(name: str, command: click.Command) -> list[tuple[str, click.Command]]:
    inner = getattr(command, "commands", {}).items()
    return [(name, command), *(one for word, own in inner for one in _with_those_within(f"{name} {word}", own))]


def test_every_option_that_a_text_names_is_one_of_a_command() -> None:
    known = OF_OTHERS | {option for command in references.programs().values() for option in _options_of(command)}
    places = ("datasites", "researcher", "policies", "launch_datasites.py")
    files = [file for place in places for file in sorted([*(PROJECT / place).rglob("*.py"), PROJECT / place])]
    texts = {
        (file.relative_to(PROJECT).as_posix(), option)
        for file in files
        if file.suffix == ".py"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9_-]+", node.value)
    }
    assert len(texts) > 100 and [one for one in sorted(texts) if one[1] not in known] == []


def test_a_table_names_only_an_option_of_the_command_that_prints_it() -> None:
    """What a narrow terminal leaves out is told by an option, where the command has it."""
    advised = 0
    for call, package in (("python -m researcher", "researcher"), ("python -m datasites", "datasites")):
        commands = dict(_with_those_within("", references.programs()[call]))
        tables = _options_of_tables(PROJECT / package)
        for file in sorted((PROJECT / package / "cli").rglob("*.py")):
            for function in ast.parse(file.read_text()).body:
                if not isinstance(function, ast.FunctionDef):
                    continue
                own = [one for name, one in commands.items() if name.split()[-1:] == [function.name]]
                for name in {node.id for node in ast.walk(function) if isinstance(node, ast.Name)} & {*tables}:
                    for command in own:
                        advised += len(tables[name])
                        assert tables[name] <= _options_of(command), (file.name, function.name, name)
    assert advised > 3


_IN_JSON = r"elsewhere=(_IN_JSON|'--json')"


def _options_of_tables(package: Path) -> dict[str, set[str]]:
    """Function that makes a table → the options that it says tell more."""
    found: dict[str, set[str]] = {}
    for file in package.rglob("*.py"):
        for function in ast.parse(file.read_text()).body:
            if isinstance(function, ast.FunctionDef):
                told = {"--json"} if re.search(_IN_JSON, ast.unparse(function)) else set()
                if told:
                    found[function.name] = found.get(function.name, set()) | told
    return found


def _options_of(command: click.Command) -> set[str]:
    own = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
    return own.union(*map(_options_of, getattr(command, "commands", {}).values()))
