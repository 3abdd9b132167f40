"""A program's commands: how they are declared, and how one ends. What others wrote in an error is shown, not obeyed."""

from __future__ import annotations

import functools
import gc
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Self

import click
from click.core import ParameterSource

from policies.errors import WanwuError
from policies.terminal.printing import say, say_error

if TYPE_CHECKING:
    from pathlib import Path

    from policies.settings import Declared

WRONG_COMMAND_LINE = 2
MOST_COLUMNS = 78
MOST_CHOICES = 50  # characters of the words to choose from that stand beside the option itself


class _Words(click.Option):
    """An option that takes every word up to the next option: what a shell makes of a pattern."""


class Command(click.Command):
    """One command.

    Args:
        name: By which it is called.
        run: What it does. Its docstring is the help; it takes each parameter by name, and returns the exit status or
            None.
        params: Its options and arguments.
        later: Makes further ones when they are first asked for, where that imports what other commands do not need.
    """

    def __init__(
        self,
        name: str,
        run: Callable[..., int | None],
        *params: click.Parameter,
        later: Callable[[], Sequence[click.Parameter]] | None = None,
    ) -> None:
        super().__init__(name, context_settings=_context(), callback=run, params=list(params), help=run.__doc__)
        self._later = later

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """All parameters; those that come later are made now."""
        if self._later is not None:
            later, self._later = self._later, None
            self.params = [*later(), *self.params]
        return super().get_params(ctx)

    def get_short_help_str(self, limit: int = 45) -> str:
        """What the command does, in the list of commands: the first paragraph of its help, for a list to wrap."""
        return " ".join((self.help or "").partition("\n\n")[0].split())

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; garbage is collected from here on, wherever the program had that off until now."""
        gc.enable()
        return super().invoke(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the command line."""
        several = {word for param in self.get_params(ctx) if isinstance(param, _Words) for word in param.opts}
        return super().parse_args(ctx, list(_one_by_one(args, several)))


class Commands(click.Group):
    """Commands beside one another, in the order they were added: those of a program, or of a word such as `audit`."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(
            name,
            help=text,
            context_settings=_context(),
            no_args_is_help=False,
            options_metavar=None,
            subcommand_metavar="COMMAND ...",
        )

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands' names, as they were added."""
        return list(self.commands)

    def add(
        self,
        name: str,
        run: Callable[..., int | None],
        *params: click.Parameter,
        later: Callable[[], Sequence[click.Parameter]] | None = None,
    ) -> None:
        """Adds a command; see `Command`."""
        self.add_command(Command(name, run, *params, later=later))

    def within(self, name: str, text: str) -> Self:
        """Adds a word that commands of its own follow; returns them, none yet."""
        inner = type(self)(name, text)
        self.add_command(inner)
        return inner

    def alone(self, run: Callable[..., int | None], *params: click.Parameter) -> None:
        """Says what the word does without a command after it; its own options do not go with one."""

        @functools.wraps(run)
        def command(**own: Any) -> int | None:
            context = click.get_current_context()
            if context.invoked_subcommand is None:
                gc.enable()
                return run(**own)
            if any(context.get_parameter_source(one) is ParameterSource.COMMANDLINE for one in own):
                raise click.UsageError(f"Write the options after '{context.invoked_subcommand}'.")
            return None

        self.invoke_without_command, self.callback = True, command
        self.params.extend(params)
        self.options_metavar, self.subcommand_metavar = "[OPTIONS]", "[COMMAND ...]"


def option(
    flag: str,
    text: str,
    *,
    name: str | None = None,
    also: str | None = None,
    kind: Callable[[str], Any] = str,
    choices: Sequence[str] = (),
    value: str | None = None,
    default: Any = None,
    required: bool = False,
    repeated: bool = False,
    words: bool = False,
) -> click.Option:
    """An option with a value.

    Args:
        flag: As it is written, such as `--port`.
        text: What it is; its default is told after that.
        name: As the command's function calls it, if not as the flag does.
        also: How else it may be written.
        kind: What reads the value; its ValueError is the error's text.
        choices: The words that it may be.
        value: What stands for the value in the help.
        default: What the function gets if the option is not given.
        required: Whether it must be given.
        repeated: Whether it may be given again; the function gets a tuple.
        words: Whether it takes all words up to the next option; the function gets a tuple.
    """
    form: dict[str, Any] = {} if default is None else {"default": default}
    words_of_it = "|".join(choices)
    if value is None and len(words_of_it) > MOST_CHOICES:  # a line of a help holds no more
        said, mark, told_default = text.partition(" (default ")
        value, text = flag.strip("-").upper(), f"{said}: one of {', '.join(choices)}{mark}{told_default}"
    return (_Words if words else click.Option)(
        [one for one in (flag, also, name) if one is not None],
        type=click.Choice(choices) if choices else kind,
        help=text if default in (None, "") else f"{text} (default {told(default)})",
        metavar=value or words_of_it or flag.strip("-").upper(),
        required=required,
        multiple=repeated or words,
        **form,
    )


def option_of(setting: Declared, flag: str | None = None, *, more: str = "", **form: Any) -> click.Option:
    """The option of a declared setting. Not given it is None, or empty: the setting's own default holds.

    Args:
        setting: Which setting.
        flag: As it is written, if not as the setting is named.
        more: Told after the default.
        form: As of `option`.
    """
    text = setting.help.rstrip(".")
    if setting.default not in (None, "", ()):
        text += f" (default {told(setting.default)}{more})"
    return option(flag or f"--{setting.name}", text, **{"kind": setting.kind, "choices": setting.choices, **form})


def switch(flag: str, text: str, *, name: str | None = None) -> click.Option:
    """An option without a value; `name` is as the command's function calls it, if not as the flag does."""
    return click.Option([flag] if name is None else [flag, name], is_flag=True, help=text)


def argument(
    name: str, text: str, *, kind: Callable[[str], Any] = str, repeated: bool = False, required: bool = True
) -> click.Argument:
    """A value without a flag; with `repeated` any number of them, as a tuple."""
    nargs = -1 if repeated else 1
    return click.Argument([name], type=kind, help=text, metavar=name, nargs=nargs, required=required and not repeated)


def path(text: Path | str) -> Path:
    """What reads a path. No help waits until pathlib is imported."""
    from pathlib import Path

    return Path(text)


def told(default: Any) -> str:
    """A default as the help tells it."""
    return f"{default:g}".replace("e-0", "e-") if isinstance(default, float) else str(default)


def refuse_together(given: dict[str, bool], *, why: str = "") -> None:
    """Refuses options of which only one may be given.

    Args:
        given: The options, as they are written, and whether each was given.
        why: Told after the two that were.

    Raises:
        click.UsageError: Two were given.
    """
    found = [flag for flag, was_given in given.items() if was_given]
    if len(found) > 1:
        raise click.UsageError(f"{found[0]} and {found[1]} contradict each other{why}. Leave out one of the two.")


def run(program: click.Command, arguments: Sequence[str] | None, *, private: bool = False, failed: int = 1) -> int:
    """Runs what a command line says, and tells an error in one line, and its private text in further ones.

    Args:
        program: The program, by the name that it is called by.
        arguments: The command line; the process's own if None.
        private: Whether the hospital's own people read the errors.
        failed: Exit status after an error.

    Returns:
        The exit status: the command's own, else 0; `failed` after an error, also one of a file or the disk; 2 for a
        wrong command line.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with program.make_context(program.name, given) as context:
            return program.invoke(context) or 0
    except click.exceptions.Exit as ended:  # its help was asked for, and is printed
        if arguments is None:
            _end_at_once(ended.exit_code)
        return ended.exit_code
    except click.UsageError as error:
        called = error.ctx.command_path if error.ctx else program.name
        text = " ".join(error.format_message().split())
        say(f"{called}: error: {text} See {called} --help.", to_errors=True)
        return WRONG_COMMAND_LINE
    except WanwuError as error:
        say_error(error, private=private)
        return failed
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a file that was named, or the disk: the system says best what is wrong with it
        named = f"{error.filename}: " if error.filename else ""
        say(f"{program.name}: error: {named}{error.strerror or error}.", to_errors=True)
        return failed


def _end_at_once(status: int) -> NoReturn:
    """Ends a process that has printed a help: to take all modules apart first would take as long as to print it."""
    sys.stdout.flush()
    os._exit(status)


def _context() -> dict[str, Any]:
    return {"help_option_names": ["-h", "--help"], "terminal_width": _columns()}


@functools.cache
def _columns() -> int:
    """As wide as the terminal is, up to `MOST_COLUMNS`. Click would ask shutil, which takes long to import."""
    try:
        columns = int(os.environ.get("COLUMNS") or os.get_terminal_size(1).columns)
    except (OSError, ValueError):
        return MOST_COLUMNS
    return max(50, min(columns - 2, MOST_COLUMNS))


def _one_by_one(arguments: Iterable[str], several: set[str]) -> Iterable[str]:
    """`--files a b` as `--files a --files b`, for the options named in `several`."""
    option, waiting = "", False
    for word in arguments:
        if word.startswith("-"):
            option, waiting = (word, True) if word in several else ("", False)
        elif option and not waiting:
            yield option
        else:
            waiting = False
        yield word
