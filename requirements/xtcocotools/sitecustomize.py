"""Lets the setup.py of xtcocotools 1.14.3 run on Python 3.13: put this folder on PYTHONPATH to build it.

It reads its version with ``exec(...)`` and then looks for it in ``locals()``.  Since Python 3.13
(PEP 667) what ``exec`` defines inside a function no longer shows there; here it does again.
"""

import builtins
import sys

_exec = builtins.exec


def exec_into_caller(source, *namespaces, **options):
    """Run ``source`` as ``exec`` does; inside a function and without namespaces, its names become locals there."""
    caller = sys._getframe(1)
    if namespaces or options:
        _exec(source, *namespaces, **options)
    elif caller.f_locals is caller.f_globals:  # the top level of a module
        _exec(source, caller.f_globals)
    else:
        names = {}
        _exec(source, caller.f_globals, names)
        caller.f_locals.update(names)


builtins.exec = exec_into_caller
