"""``python -m studies STUDY``, in a clone."""

from rtmo_plugin.cli.command import run_command
from studies.ablate import COMMAND

if __name__ == "__main__":
    run_command(COMMAND, "python -m studies")
