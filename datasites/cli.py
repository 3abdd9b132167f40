"""The hospital's commands. What they print is for the hospital's own people."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from datasites import upkeep_cli
from datasites.config import DatasiteConfig
from datasites.identity import StateFolder
from datasites.staff import ROLES
from datasites.state_option import chosen_state
from policies.errors import ConfigError, WanwuError

STAFF_VARIABLE = "WANWU_STAFF"
Command = Callable[[argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except WanwuError as error:
        print(f"{error.code}: {error.public}", file=sys.stderr)
        if error.private:
            print(f"  ({error.private})", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


class _Answered(WanwuError):
    """What the running datasite answered, under its own code."""

    def __init__(self, code: str, public: str) -> None:
        super().__init__(public)
        self.code = code


# --- commands without a running datasite -----------------------------------------------------------------


def init(options: argparse.Namespace) -> None:
    """Writes config.toml and the identity of a new datasite."""
    from datasites.prepare import check_data, write_config

    if not options.name:
        raise ConfigError("Give the new datasite a name: --name hospital_a.")
    config = DatasiteConfig(name=options.name, port=options.port)
    given = {
        "data_path": str(Path(options.data_path).resolve()) if options.data_path else None,
        "site": options.site,
        "dataset": options.dataset,
        "unit": options.unit,
        "researchers": tuple(options.researcher) or None,
    }
    config = replace(config, **{key: value for key, value in given.items() if value})
    state = _state(options)
    if state.config.exists():
        raise ConfigError(f"{state.config} exists already. Edit it, or choose another --state.")
    check_data(state, config)
    write_config(state, config)
    print(f"Datasite '{config.name}' is described in {state.config}: read it, set its limits, then ingest and serve.")


def ingest(options: argparse.Namespace) -> None:
    """Reads the pictures into the store."""
    from datasites.prepare import ingest_pictures

    state = _state(options)
    manifest = ingest_pictures(state, DatasiteConfig.from_toml(state.config))
    height, width, channels = manifest.image_shape
    print(
        f"Dataset '{manifest.name}': {manifest.num_pictures} pictures of {height}x{width}x{channels} in "
        f"{len(manifest.class_names)} classes, {manifest.num_units} units ({manifest.unit})"
        f"{f', with reports of up to {manifest.text.length} words' if manifest.text else ''}. "
        f"Researchers see a public size of {manifest.public_size}."
    )


def serve(options: argparse.Namespace) -> None:
    """Serves the datasite until it is told to stop."""
    os.umask(0o077)
    state = _state(options)
    config = DatasiteConfig.from_toml(state.config)
    from datasites.listening import listen
    from datasites.prepare import ingest_pictures
    from datasites.running import hold
    from datasites.server import RunningDatasite, refuse_dev_mode
    from datasites.state_version import check_version

    refuse_dev_mode()
    check_version(state)
    listen(config.host, config.port).close()
    hold(state)
    ingest_pictures(state, config)
    terminal = _log_to(state.logs / "datasite.log")
    if options.stop_with_stdin:
        threading.Thread(target=_stop_with_stdin, daemon=True).start()
    datasite = RunningDatasite(state, config)
    datasite.serve(ready=lambda: print(f"ready {config.url}", file=terminal, flush=True))
    terminal.flush()
    os._exit(0)  # all is closed and on disk; taking PySyft's modules apart would take another three seconds


def verify_ledger(options: argparse.Namespace) -> None:
    """Checks the ledger's chain."""
    from policies.ledger import Ledger

    state = _state(options)
    if not state.ledger.exists():
        raise ConfigError(f"No ledger at {state.ledger}: the datasite has not served yet.")
    ledger = Ledger(state.ledger)
    ledger.verify()
    print(f"The ledger's chain holds: {len(ledger.entries())} entries.")


# --- commands to a running datasite ----------------------------------------------------------------------


def requests(options: argparse.Namespace) -> None:
    """Lists code requests."""
    from datasites.tables import request_table

    _print(options, _call(options, "GET", "/requests"), request_table)


def show(options: argparse.Namespace) -> None:
    """Shows one request's card."""
    from datasites.tables import request_card

    _print(options, _call(options, "GET", f"/requests/{options.request}"), request_card)


def approve(options: argparse.Namespace) -> None:
    """Approves a request and reserves its budget."""
    card = _call(options, "POST", f"/requests/{options.request}/approve")
    if card["state"] == "pending":
        given, needed = len(card["approvals"]), card["approvals_needed"]
        print(f"Approval {given} of {needed} for {card['id'][:8]}; nothing is reserved before the last one.")
        return
    print(f"Approved {card['id'][:8]}: {card['plan']['rounds']} rounds on '{card['plan']['dataset']}', {_cost(card)}.")


def deny(options: argparse.Namespace) -> None:
    """Denies a request with a reason."""
    card = _call(options, "POST", f"/requests/{options.request}/deny", {"reason": options.reason})
    print(f"Denied {card['id'][:8]}: {card['reason']}")


def end(options: argparse.Namespace) -> None:
    """Ends an approved request; its unused budget becomes free."""
    card = _call(options, "POST", f"/requests/{options.request}/end", {"reason": options.reason})
    print(f"Ended {card['id'][:8]}: {card['reason']}")


def budget(options: argparse.Namespace) -> None:
    """Shows the privacy budget of each dataset."""
    from datasites.tables import budget_table

    _print(options, _call(options, "GET", "/budget"), budget_table)


def limits(options: argparse.Namespace) -> None:
    """Shows the dataset's limits, or changes some of them."""
    from datasites.tables import limits_table

    changes = dict(_assignment(text) for text in options.set)
    answer = _call(options, "POST", "/limits", changes) if changes else _call(options, "GET", "/limits")
    _print(options, answer, limits_table)


def _assignment(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise ConfigError(f"Expected NAME=VALUE such as max_rounds=100, got {text!r}.") from error


def runs(options: argparse.Namespace) -> None:
    """Lists runs."""
    from datasites.tables import run_table

    _print(options, _call(options, "GET", "/runs"), run_table)


def cancel(options: argparse.Namespace) -> None:
    """Cancels a run."""
    run = _call(options, "POST", f"/runs/{options.run}/cancel")
    print(f"Run {run['id']} is {run['state']}.")


def enrol(options: argparse.Namespace) -> None:
    """Gives a researcher an account and a certificate; again, a new certificate."""
    answer = _call(options, "POST", "/researchers", {"email": options.email})
    print(f"{options.email} is enrolled. Hand over this file, and only this one, on a safe way: {answer['file']}")


def revoke(options: argparse.Namespace) -> None:
    """Ends a researcher's access at once, open connections included."""
    _call(options, "POST", "/researchers/revoke", {"email": options.email})
    print(f"{options.email} has no access any more. Approved studies stay reserved until you end them.")


def researchers(options: argparse.Namespace) -> None:
    """Lists researchers and until when their certificates are valid."""
    from datasites.tables import researcher_table

    _print(options, _call(options, "GET", "/researchers"), researcher_table)


def add_staff(options: argparse.Namespace) -> None:
    """Makes an account for one of the hospital's people."""
    answer = _call(options, "POST", "/staff", {"name": options.person, "role": options.role})
    print(f"{options.person} is {options.role}. Hand over this file on a safe way, then delete it: {answer['file']}")


def remove_staff(options: argparse.Namespace) -> None:
    """Ends the account of one of the hospital's people at once."""
    _call(options, "POST", f"/staff/{options.person}/remove")
    print(f"{options.person} has no account any more.")


def list_staff(options: argparse.Namespace) -> None:
    """Lists the hospital's people with their roles."""
    from datasites.tables import staff_table

    _print(options, _call(options, "GET", "/staff"), staff_table)


def show_audit(options: argparse.Namespace) -> None:
    """Prints the last events of the audit log, a JSON line each."""
    for event in _call(options, "GET", f"/audit?count={options.count}"):
        print(json.dumps(event))


def show_ledger(options: argparse.Namespace) -> None:
    """Prints the privacy ledger's entries, a JSON line each."""
    for entry in _call(options, "GET", "/ledger"):
        print(json.dumps(entry))


# --- the parser ------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m datasites", description=__doc__)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--state", type=Path, help="the datasite's state folder")
    shared.add_argument("--name", help="short for --state state/NAME")
    shared.add_argument(
        "--as", dest="as_file", type=Path, metavar="FILE", help=f"your own token file (default: ${STAFF_VARIABLE})"
    )
    shared.add_argument("--json", action="store_true", help="print JSON instead of a table")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, command: Command, within: Any = commands) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = within.add_parser(name, parents=[shared], help=command.__doc__)
        added.set_defaults(command=command)
        return added

    groups: dict[str, Any] = {}

    def group(name: str, text: str) -> Any:
        if name not in groups:
            groups[name] = commands.add_parser(name, help=text).add_subparsers(required=True, metavar="COMMAND")
        return groups[name]

    new = add("init", init)
    new.add_argument("--port", type=int, default=8081, help="port for researchers (default 8081)")
    new.add_argument("--data_path", help="folder with a subfolder per class, or an .npz file")
    new.add_argument("--site", default="", help="which hospital's pictures, where data_path holds several")
    new.add_argument("--dataset", default="", help="name of the published dataset")
    new.add_argument("--unit", choices=("picture", "patient"), help="privacy unit (default picture)")
    new.add_argument("--researcher", action="append", default=[], metavar="EMAIL", help="enrol at first start")
    add("ingest", ingest)
    add("serve", serve).add_argument(
        "--stop_with_stdin",
        action="store_true",
        help="stop when standard input closes (used by launch_datasites.py)",
    )
    add("requests", requests)
    add("show", show).add_argument("request", help="identifier, or its beginning")
    add("approve", approve).add_argument("request", help="identifier, or its beginning")
    for name, command in (("deny", deny), ("end", end)):
        decided = add(name, command)
        decided.add_argument("request", help="identifier, or its beginning")
        decided.add_argument("--reason", required=True, help="the researcher will read it")
    add("budget", budget)
    add("limits", limits).add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="epsilon=10, max_rounds=100, ... (repeatable)"
    )
    add("runs", runs)
    add("cancel", cancel).add_argument("run", help="identifier of the run")
    add("enrol", enrol).add_argument("email", help="the researcher's address")
    add("revoke", revoke).add_argument("email", help="the researcher's address")
    add("researchers", researchers)
    staff = group("staff", "The hospital's people: admins, reviewers, auditors.")
    new_person = add("add", add_staff, staff)
    new_person.add_argument("person", help="name, as decisions and receipts will state it")
    new_person.add_argument("--role", required=True, choices=ROLES, help="what the person may do")
    add("remove", remove_staff, staff).add_argument("person")
    add("list", list_staff, staff)
    ledger = group("ledger", "The privacy ledger.")
    add("verify", verify_ledger, ledger)
    add("show", show_ledger, ledger)
    upkeep_cli.add_commands(add, group)
    shown = add("show", show_audit, group("audit", ""))
    shown.add_argument("--count", type=int, default=100, help="how many (default 100)")
    return parser


def _state(options: argparse.Namespace) -> StateFolder:
    return chosen_state(options, must_exist=options.command is not init)


def _call(options: argparse.Namespace, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Asks the running datasite's admin API.

    Raises:
        WanwuError: What the datasite answered.
        ConfigError: It is not running.
    """
    import httpx

    access = _access(options)
    try:
        answer = httpx.request(
            method,
            f"{access['url']}/admin/v1{path}",
            json=body,
            headers={"authorization": f"Bearer {access['token']}"},
            timeout=120,
            trust_env=False,
        )
    except (OSError, httpx.TransportError) as error:
        raise ConfigError("The datasite is not running. Start it, then try again.") from error
    content = answer.json()
    if answer.status_code >= 400:
        raise _Answered(content["code"], content["error"])
    return content


def _access(options: argparse.Namespace) -> dict[str, str]:
    """Address and token: of the person whose file is given, else of the state folder's owner.

    Raises:
        ConfigError: The person's file is not one, or the datasite is not running.
    """
    own = options.as_file or os.environ.get(STAFF_VARIABLE)
    if not own:
        state = _state(options)
        try:
            return dict(json.loads(state.console.read_text()))
        except OSError as error:
            raise ConfigError(f"Datasite '{state.name}' is not running. Start it, then try again.") from error
    try:
        access = dict(json.loads(Path(own).read_text()))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{own} is not a token file. Ask the hospital's admin for one.") from error
    if options.state is not None or options.name:
        with contextlib.suppress(OSError, ConfigError):
            access["url"] = json.loads(_state(options).console.read_text())["url"]
    return access


def _print(options: argparse.Namespace, content: Any, table: Callable[[Any], Any]) -> None:
    if options.json:
        print(json.dumps(content, indent=2))
        return
    from rich.console import Console

    Console().print(table(content))


def _cost(card: dict[str, Any]) -> str:
    if card["epsilon"] is None:
        return "without differential privacy"
    return f"epsilon {card['epsilon']:.2f} reserved at delta {card['delta']:g}"


def _stop_with_stdin() -> None:
    while os.read(0, 1):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


def _log_to(file: Path) -> TextIO:
    """Sends the log and both outputs to the hospital's log file; returns the terminal, for the `ready` line."""
    import logging

    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    terminal = os.fdopen(os.dup(1), "w")
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    logging.getLogger("datasites").setLevel(logging.INFO)  # also after PySyft has set the root logger's level
    for noisy in ("httpx", "syft", "matplotlib"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    return terminal
