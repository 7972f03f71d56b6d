"""``python -m benchmarks SUBJECT``, in a clone."""

from benchmarks.subjects import COMMAND
from rtmo_plugin.cli.command import run_command

if __name__ == "__main__":
    run_command(COMMAND, "python -m benchmarks")
