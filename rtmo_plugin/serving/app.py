"""The web application: the page, the properties of the model, and the people in an uploaded image."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from rtmo_plugin.errors import DataError, NonFiniteError
from rtmo_plugin.pose.results import PoseResult
from rtmo_plugin.runtime.model_info import ModelInfo
from rtmo_plugin.serving.decoder_pool import DecoderPool
from rtmo_plugin.serving.guard import Guard
from rtmo_plugin.serving.uploads import Inbox, Limits, UploadError
from rtmo_plugin.webpage.page_files import DETECTOR, INDEX, PAGE, PAGE_FILES, describe_for_page

_NUM_DECODED = 3  # largest number of images that are decoded or in the network at once
_CLIENT_CLOSED = 499  # nginx's status: the client closed the connection
_FILES = {"/": PAGE / INDEX, **{f"/{name}": PAGE / name for name in PAGE_FILES[1:]}}
_FILES[f"/{DETECTOR}"] = Path(__file__).parent / "page" / DETECTOR


class Detector(Protocol):
    """Model that detects the people in an image, such as ``Pose``."""

    info: ModelInfo

    def __call__(self, source: NDArray[np.uint8]) -> PoseResult:
        """Return the people in an image, (height, width, 3) BGR.

        Raises:
            DataError: The image cannot be used.
        """


def make_app(
    pose: Detector,
    name: str,
    limits: Limits,
    decoders: DecoderPool,
    *,
    score_thr: float,
    host_names: Collection[str] = (),
) -> Starlette:
    """Return the application.

    Args:
        pose: Model that detects the people, one image at a time.
        name: Human-readable name of the model.
        limits: Limits of files and images.
        decoders: Processes that decode uploads.
        score_thr: Lowest score of the people that the page shows at first.
        host_names: Host names of this server besides ``localhost`` and addresses, see ``Guard``.
    """
    network, reading = ThreadPoolExecutor(1, "network"), ThreadPoolExecutor(_NUM_DECODED, "decoding")
    inbox, decoded = Inbox(limits), asyncio.Semaphore(_NUM_DECODED)
    model = describe_for_page(pose.info, name, score_thr)
    model |= {"megabytes": limits.megabytes, "megapixels": limits.megapixels}

    async def show_model(_: Request) -> Response:
        return JSONResponse(model)

    async def detect_people(request: Request) -> Response:
        loop = asyncio.get_running_loop()
        async with inbox.receive(request.stream()) as content, decoded:
            if await request.is_disconnected():  # the client left while the upload waited
                return Response(status_code=_CLIENT_CLOSED)
            start = perf_counter()
            image = await loop.run_in_executor(reading, decoders.decode, content)
            return JSONResponse(await loop.run_in_executor(network, _detect, pose, image, start))

    def send(file: Path) -> Any:
        async def send_file(_: Request) -> Response:
            return FileResponse(file)

        return send_file

    routes = [Route(path, send(file)) for path, file in _FILES.items()]
    routes += [Route("/model", show_model), Route("/people", detect_people, methods=["POST"])]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, names=host_names)],
        exception_handlers={UploadError: _refuse, DataError: _refuse, NonFiniteError: _fail, ClientDisconnect: _leave},
    )


def _detect(pose: Detector, image: NDArray[np.uint8], start: float) -> dict[str, Any]:
    """Return ``PoseResult.to_dict`` of an image, its size, and the time since ``start``."""
    result = pose(image)
    height, width = result.image.shape[:2]
    seconds = perf_counter() - start
    return {**result.to_dict(), "width": width, "height": height, "milliseconds": round(1000 * seconds, 1)}


async def _refuse(_: Request, error: Exception) -> Response:
    """Answer with the sentence of the error."""
    return JSONResponse({"error": str(error)}, getattr(error, "status", 422))


async def _fail(_: Request, error: Exception) -> Response:
    """Answer with the sentence of an error of the model, which no other image avoids."""
    return JSONResponse({"error": str(error)}, 500)


async def _leave(_: Request, __: Exception) -> Response:
    """Answer a client that disconnected during its upload, which is not an error of the server."""
    return Response(status_code=_CLIENT_CLOSED)
