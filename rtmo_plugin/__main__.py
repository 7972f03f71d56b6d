"""``python -m rtmo_plugin`` is the command ``rtmo``."""

from rtmo_plugin.cli.main import main

if __name__ == "__main__":
    main()
