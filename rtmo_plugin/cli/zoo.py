"""``rtmo zoo``: published weights by short name."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from rtmo_plugin.cli.arguments import add_json_argument
from rtmo_plugin.cli.command import Command, add_subcommand
from rtmo_plugin.cli.output import print_json

_ACTIONS = {
    "list": "show names, published AP, hashes, and which files are on this machine",
    "fetch": "download the files that are missing, check them, and print where they are",
    "path": "print where a file is or has to be put, without a download",
}
_EXAMPLES = (
    "{command} list",
    "{command} fetch rtmo-s_body7 rtmo-m_body7",
    '{command} path rtmo-s_body7',
)  # fmt: skip
_NOTES = """The other commands take these names as well, wherever they take a checkpoint.

environment:
  RTMO_MIRRORS   places to try before the publisher's host: addresses, or files that list them one a
                 line; {file} in an address stands for a file's name, {path} for its published path
  TORCH_HOME     torch's cache: files are kept in hub/checkpoints below it
  https_proxy    a proxy, as usual"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", required=True, metavar="list | fetch | path")
    for action, purpose in _ACTIONS.items():
        own = add_subcommand(commands, action, purpose, "--json" if action == "list" else "rtmo-s_body7")
        if action == "list":
            add_json_argument(own, "the list")
        else:
            own.add_argument("names", nargs="+", metavar="NAME", help="published names, such as rtmo-s_body7")


def _run(*, action: str, names: tuple[str, ...] = (), as_json: bool = False) -> None:
    from rtmo_plugin.checkpoints.zoo import CATALOGUE, fetch, find_weights, format_catalogue, locate

    if as_json:
        places = ((weights, locate(weights)) for weights in CATALOGUE.values())
        print_json([{**asdict(weights), "path": str(path), "is_here": path.is_file()} for weights, path in places])
    elif action == "list":
        print(format_catalogue())
    for weights in [find_weights(name) for name in names]:
        print(fetch(weights) if action == "fetch" else locate(weights), flush=True)


COMMAND = Command("list, download and locate published weights", _EXAMPLES, _add_arguments, _run, _NOTES)
