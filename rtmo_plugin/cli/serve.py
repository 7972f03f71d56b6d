"""``rtmo serve``: a page in the browser that takes dropped images or the webcam."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rtmo_plugin.cli.arguments import add_model_arguments, choose_options
from rtmo_plugin.cli.command import Command
from rtmo_plugin.errors import ConfigError, write_install_line
from rtmo_plugin.number_ranges import MEGA, PORT

_EXAMPLES = (
    "{command} rtmo-s.onnx                           # then open http://localhost:8000",
    "{command} rtmo-s.onnx --port 0 --open           # any free port, in the browser at once",
)
_NOTES = """The page needs no network.  Images stay on this machine and are not stored.  Programs can
use it too:  curl --data-binary @photo.jpg http://localhost:8000/people"""
_LOWEST_SCORE = 0.1  # lowest score that the slider of the page can show


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on; 127.0.0.1 is for this machine only",
    )
    parser.add_argument("--port", type=PORT, default=8000, metavar="N", help="port number; 0 takes any free port")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument(
        "--max-megabytes", type=MEGA, default=20, metavar="MB", help="largest accepted file, in megabytes"
    )
    parser.add_argument(
        "--max-megapixels", type=MEGA, default=50, metavar="MP", help="largest accepted image, in megapixels"
    )
    parser.add_argument(
        "--allow-host",
        nargs="+",
        default=(),
        metavar="NAME",
        help="host names to answer to, besides localhost and IP addresses",
    )


def _run(
    *,
    model: str,
    host: str,
    port: int,
    open: bool,  # noqa: A002 (as the option is called)
    max_megabytes: float,
    max_megapixels: float,
    allow_host: list[str],
    score_thr: float,
    **options: Any,
) -> None:
    try:
        from rtmo_plugin.serving import server
        from rtmo_plugin.serving.app import make_app
        from rtmo_plugin.serving.decoder_pool import DecoderPool
    except ImportError as error:
        raise ConfigError(f"rtmo serve needs packages ({error.name}): {write_install_line('serve')}") from error
    import numpy as np

    from rtmo_plugin.pose.pose import Pose
    from rtmo_plugin.serving.uploads import Limits

    limits = Limits(max_megabytes, max_megapixels)
    with server.open_port(host, port) as listener, DecoderPool(limits.num_pixels) as decoders:
        pose = Pose(model, score_thr=min(score_thr, _LOWEST_SCORE), **choose_options(options))
        pose(np.full((64, 64, 3), 114, np.uint8))  # a model that computes NaN fails now, and not at a request
        app = make_app(pose, Path(model).name, limits, decoders, score_thr=score_thr, host_names=allow_host)
        server.announce(listener, is_opened=open)
        server.run(app, listener)


COMMAND = Command(
    "serve a web page that shows the people in your images or webcam", _EXAMPLES, _add_arguments, _run, _NOTES
)
