"""Write every exported file in the same way: a draft is compared with PyTorch, and only then gets its name."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from rtmo_plugin.export.checks.comparison import Run, verify
from rtmo_plugin.export.checks.tolerance import Differences
from rtmo_plugin.export.export_options import PACKAGE_SUFFIX, ExportOptions
from rtmo_plugin.export.graphs import RawGraph, build_graph
from rtmo_plugin.export.writers.parameters import collect_parameters
from rtmo_plugin.files import create_folder, replace_file
from rtmo_plugin.runtime.coordinate_decoder import locate_parameters
from rtmo_plugin.runtime.engines import Engine
from rtmo_plugin.runtime.model_info import ModelInfo


@dataclass(frozen=True)
class FormatWriter:
    """Two functions that write a format.

    Attributes:
        check: Function that refuses options, before a model is loaded; a file of that name would be written.
        write: Function that writes a model to a file, and returns the differences between the two.
    """

    check: Callable[[ExportOptions, Path], None]
    write: Callable[[Any, Path, ExportOptions, ModelInfo], Differences]


def wrap_engine(engine: Engine, output_names: Sequence[str]) -> Run:
    """Return an engine as the function that a comparison calls, with its outputs in the order of PyTorch's."""

    def run(images: NDArray[Any], score_thr: float) -> dict[str, NDArray[Any]]:
        outputs = engine.run(images)
        return {name: outputs[name] for name in output_names}

    return run


def write_for_engine(
    model: Any,
    path: Path,
    options: ExportOptions,
    convert: Callable[[RawGraph, Path], None],
    open_engine: Callable[[Path], Engine],
) -> Differences:
    """Write a file of a graph of PyTorch, see ``write_verified``; the engine that predicts with it is compared.

    Args:
        model: Trained model, in eval mode.
        path: Final name of the file.
        options: Options of the file.
        convert: Function that writes the graph with its metadata.
        open_engine: Function that opens the draft, such as the class of an engine.

    Raises:
        ExportError: The draft does not compute what PyTorch computes.
        OutputError: A file cannot be written.
    """
    graph = build_graph(model, options)

    def save(draft: Path) -> None:
        convert(graph, draft)

    def load(draft: Path) -> Run:
        return wrap_engine(open_engine(draft), graph.output_names)

    return write_verified(model, path, options, save, load)


def write_verified(
    model: Any, path: Path, options: ExportOptions, save: Callable[[Path], None], load: Callable[[Path], Run]
) -> Differences:
    """Write a file and the files beside it; existing files stay if the draft is wrong.

    Args:
        model: Trained model, in eval mode.
        path: Final name of the file. The cut ``raw`` gets a second file, ``.npz``, with the parameters of the DCC.
        options: Options of the file.
        save: Function that writes the draft and the files beside it into an empty folder.
        load: Function that opens the draft.

    Returns:
        Differences between the draft and PyTorch.

    Raises:
        ExportError: The draft does not compute what PyTorch computes.
        OutputError: A file cannot be written.
    """
    named_anew = create_folder(path, overwrite=True) if path.suffix == PACKAGE_SUFFIX else replace_file(path)
    with named_anew as named, tempfile.TemporaryDirectory(prefix=".partial_", dir=path.parent) as folder:
        draft = Path(folder, path.name)
        save(draft)
        found = verify(model, load(draft), options, path)
        if options.cut == "raw":
            collect_parameters(model).save(locate_parameters(draft))
        for other in set(Path(folder).iterdir()) - {draft}:
            with replace_file(path.with_name(other.name)) as moved:
                other.replace(moved)
        if draft.is_dir():
            for entry in list(draft.iterdir()):
                entry.replace(named / entry.name)
        else:
            draft.replace(named)
    return found
