"""Write a model in the layout of the Hub: weights, description, preprocessing and model card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from rtmo_plugin.checkpoints.safetensors_files import ModelNotes, write_safetensors
from rtmo_plugin.files import write_file, write_json
from rtmo_plugin.hub.model_card import write_card
from rtmo_plugin.hub.model_description import ModelDescription
from rtmo_plugin.hub.model_folder import CARD_FILE, CONFIG_FILE, ONNX_FILES, PREPROCESSOR_FILE, WEIGHTS_FILE


def fill_model_folder(
    folder: Path,
    state: Mapping[str, Tensor],
    description: ModelDescription,
    config: str,
    *,
    name: str,
    license: str | None = None,  # noqa: A002  (the word of model cards)
    ap: float | None = None,
) -> None:
    """Write the files of a model; ONNX models must be there already, if the card is to name them.

    Args:
        folder: Existing folder.
        state: Weights of the model.
        description: Description of the model.
        config: Text of its config, from ``format_config``.
        name: Name of the model, for the card.
        license: License of the weights, for the card.
        ap: AP of the last validation in training, for the card.

    Raises:
        MissingPackageError: The package ``safetensors`` is not installed.
        OutputError: A file cannot be written.
    """
    write_safetensors(folder / WEIGHTS_FILE, state, ModelNotes(config, description.schema, description.classes))
    write_json(folder / CONFIG_FILE, description.to_dict(), indent=2)
    write_json(folder / PREPROCESSOR_FILE, description.make_preprocessor_config(), indent=2)
    files = [each for each in (WEIGHTS_FILE, CONFIG_FILE, *ONNX_FILES, PREPROCESSOR_FILE) if (folder / each).is_file()]
    write_file(folder / CARD_FILE, write_card(name, description, files, license=license, ap=ap))
