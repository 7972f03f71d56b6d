"""Files of a tiny model."""

from tests.tiny_files import checkpoint_model, files, trained  # noqa: F401  (fixtures)
