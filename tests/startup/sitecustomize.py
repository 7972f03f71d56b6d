"""Read by every Python that a test starts: tests/conftest.py puts this folder on ``PYTHONPATH``.

A third of the time that OpenMMLab takes to import, and to exit, is the search for garbage among objects that stay.
"""

import atexit
import gc

gc.set_threshold(100_000, 50, 50)
atexit.register(gc.freeze)
