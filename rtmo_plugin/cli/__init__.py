"""The command ``rtmo``: one module a command, arguments in and one call out.

Importing this package, and a command's module, loads neither torch nor mm*: what is heavy is
imported when a command runs.  ``tools/*.py`` run the same commands from a clone.
"""
