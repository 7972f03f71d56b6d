"""Published weights by short name: python tools/zoo.py list | fetch NAME | path NAME."""

import argparse

from rtmo_plugin.errors import report_user_errors
from rtmo_plugin.zoo import fetch, find_weights, format_catalogue, locate

COMMANDS = {
    "list": "show names, published AP, hashes, and which files are here",
    "fetch": "download what is not here, check it, and print where it is",
    "path": "print where a file is, or has to be put; download nothing",
}
EXAMPLES = """examples:
  python tools/zoo.py list
  python tools/zoo.py fetch rtmo-s_body7 rtmo-m_body7
  python tools/test.py configs/rtmo-s_coco.py "$(python tools/zoo.py fetch rtmo-s_coco)"

The other tools take these names as well, wherever they take a checkpoint.

environment:
  RTMO_MIRRORS   places to try before the publisher's host: addresses, or files that list them one a
                 line; {file} in an address stands for a file's name, {path} for its published path
  TORCH_HOME     torch's cache: files are kept in hub/checkpoints below it
  https_proxy    a proxy, as usual"""


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description="List, fetch and find RTMO's published weights.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="list | fetch | path")
    for command, purpose in COMMANDS.items():
        subparser = commands.add_parser(command, help=purpose, description=f"{purpose.capitalize()}.")
        if command != "list":
            subparser.add_argument("names", nargs="+", metavar="NAME", help="such as rtmo-s_body7")
    return parser.parse_args()


def main() -> None:
    """Do what the command line says, and print the table or one path a line."""
    arguments = parse_arguments()
    with report_user_errors():
        if arguments.command == "list":
            print(format_catalogue())
            return
        for weights in [find_weights(name) for name in arguments.names]:
            print(fetch(weights) if arguments.command == "fetch" else locate(weights), flush=True)


if __name__ == "__main__":
    main()
