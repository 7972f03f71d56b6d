"""Files of a tiny model."""

from tests.tiny_files import files, predictor, trained  # noqa: F401  (fixtures)
