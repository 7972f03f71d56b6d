"""The published weights: checkpoints, ONNX files, and the backbones that training starts from.

Names, addresses and AP are MMPose 1.3.2's own (its ``projects/rtmo`` and configs).  The eight hex
digits in the name of a checkpoint are the first of its SHA-256, by which MMPose publishes.  The name
of an ONNX archive repeats those of its checkpoint and says nothing of the model in it.  MMPose
publishes neither sizes nor whole hashes: those below are what users of the files report (docs/zoo.md).

Others exported the checkpoints too; their files have names of their own, because they are other files.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath
from urllib.parse import urlparse

from rtmo_plugin.errors import MissingFileError, UnknownKeyError

CHECKPOINT, ONNX, BACKBONE = "checkpoint", "onnx", "backbone"
_HOST = "https://download.openmmlab.com/"
_RTMO = f"{_HOST}mmpose/v1/projects/rtmo/"
_CHECKPOINTS = {  # name: published file, AP on COCO val2017, or on CrowdPose test where that was trained on
    "rtmo-s_coco": ("rtmo-s_8xb32-600e_coco-640x640-8db55a59_20231211", 0.677),
    "rtmo-m_coco": ("rtmo-m_16xb16-600e_coco-640x640-6f4e0306_20231211", 0.709),
    "rtmo-l_coco": ("rtmo-l_16xb16-600e_coco-640x640-516a421f_20231211", 0.724),
    "rtmo-t_body7": ("rtmo-t_8xb32-600e_body7-416x416-f48f75cb_20231219", 0.574),
    "rtmo-s_body7": ("rtmo-s_8xb32-600e_body7-640x640-dac2bf74_20231211", 0.686),
    "rtmo-m_body7": ("rtmo-m_16xb16-600e_body7-640x640-39e78cc4_20231211", 0.726),
    "rtmo-l_body7": ("rtmo-l_16xb16-600e_body7-640x640-b37118ce_20231211", 0.748),
    "rtmo-s_crowdpose": ("rtmo-s_8xb32-700e_crowdpose-640x640-79f81c0d_20231211", 0.673),
    "rtmo-m_crowdpose": ("rrtmo-m_16xb16-700e_crowdpose-640x640-0eaf670d_20231211", 0.711),  # published with two r
    "rtmo-l_crowdpose": ("rtmo-l_16xb16-700e_crowdpose-640x640-1008211f_20231211", 0.732),
    "rtmo-l_body7-crowdpose": ("rtmo-l_16xb16-700e_body7-crowdpose-640x640-5bafdc11_20231219", 0.838),
}
_WITH_ONNX = ("rtmo-t_body7", "rtmo-s_body7", "rtmo-m_body7", "rtmo-l_body7")
_BACKBONES = {
    "yolox-tiny": "mmdetection/v2.0/yolox/yolox_tiny_8x8_300e_coco/yolox_tiny_8x8_300e_coco_20211124_171234-b4047906",
    "yolox-s": "mmdetection/v2.0/yolox/yolox_s_8x8_300e_coco/yolox_s_8x8_300e_coco_20211121_095711-4592a793",
    "yolox-m": "mmpose/v1/pretrained_models/yolox_m_8x8_300e_coco_20230829",
    "yolox-l": "mmdetection/v2.0/yolox/yolox_l_8x8_300e_coco/yolox_l_8x8_300e_coco_20211126_140236-d3bd2b23",
}
_ORT = "https://github.com/namas191297/rtmo-ort/releases/download/v0.1.0/"
_USLS = "https://github.com/jamjamjon/assets/releases/download/v0.0.1/"
_OTHER_EXPORTS = {  # name: address
    **{f"rtmo-{size}_{data}-onnx": f"{_ORT}rtmo_{size}_640x640_{data}.onnx" for size, data in (
        ("s", "coco"), ("m", "coco"), ("l", "coco"), ("s", "crowdpose"), ("l", "crowdpose"),
    )},
    **{f"rtmo-{size}_body7-onnx-ort": f"{_ORT}rtmo_{size}_{side}x{side}_body7.onnx" for size, side in (
        ("t", 416), ("s", 640), ("m", 640), ("l", 640),
    )},
    **{f"rtmo-{size}-onnx-usls{kind}": f"{_USLS}rtmo-{size}-dyn{'-f16' if kind else ''}.onnx"
       for kind in ("", "-fp16") for size in "sml"},
    **{f"rtmo-{size}-onnx-xenova": f"https://huggingface.co/Xenova/RTMO-{size}/resolve/{revision}/onnx/model.onnx"
       for size, revision in {
           "t": "f29d13ce5ee291fbe505e9d06a049992f05699dc",
           "s": "d8c526187f341d287753831c9c8b1ecc4855bba1",
           "m": "3aba1280472b98ee2bf663482e27e243038d23fe",
           "l": "866da24c537be882180eb1bd278bc22cef85c6fd",
       }.items()},
}  # fmt: skip
_REPORTED_HASHES = {  # of the file to use: of ONNX models, not of the archives that hold them
    "rtmo-l_coco": "516a421f8717548300c3ee6356a3444ac539083d4a9912f8ca1619ee63d0986d",
    "rtmo-s_body7": "dac2bf749bbfb51e69ca577ca0327dff4433e3be9a56b782f0b7ef94fb45247e",
    "rtmo-m_body7": "39e78cc4afed7d1dd31ea73ee04842f7d8f8e695d900d41b90746e94728a01c3",
    "rtmo-l_body7": "b37118cee39b43531c23d9e443fbb4f0b8987f590d9c6ed61978d12ecfce84df",
    "rtmo-l_body7-crowdpose": "5bafdc11e43fba1a834e1323013108831b3e1e0761681dbe7a37896a179f2183",
    "rtmo-t_body7-onnx": "20aad6e2e42359cac1c5b4a0b2da00e29bfe91a72a782fdcf287d273a04c1b24",
    "rtmo-s_body7-onnx": "d0703d40d19f3921da51ae725402d5fdae4d2478c7442072d3101bd396f370d8",
    "rtmo-l_body7-onnx": "090096ca90f29163cc4f67137dcc0cd4b2ee95ea0af11764fbfda88dd2ae1140",
    "rtmo-t-onnx-xenova": "cb54dd042bf997df86d938721c94238940f2bff98ba8d2ccc834430de5c65c13",
    "rtmo-s-onnx-xenova": "1cd6a3517658903233e9ccb78666554862f57f0944b6886e2048093594aef4e7",
    "rtmo-m-onnx-xenova": "76d82c45e5c4810baf587ecf2638d15cbf7ed196afb2055e977382532021b59e",
    "rtmo-l-onnx-xenova": "293b4b10165b3862fc00b81a9473803838a22046115d54d80f8fdc24daa9a030",
}
_REPORTED_SIZES = {
    "rtmo-s_body7": 39_766_454,
    "rtmo-l_body7": 179_277_852,
    "rtmo-l_body7-crowdpose": 178_452_521,
    "rtmo-s_body7-onnx": 39_617_685,
    "rtmo-t-onnx-xenova": 27_360_569,
    "rtmo-s-onnx-xenova": 39_636_400,
    "rtmo-m-onnx-xenova": 89_291_929,
    "rtmo-l-onnx-xenova": 175_926_543,
}
_MAX_NAME_BYTES = 240  # file systems allow 255, of which the lock and the part need some
# MMPose's and torch's naming: digits after a hyphen, perhaps a date after them.  A date alone is not a hash.
_HASH_IN_NAME = re.compile(r"-(?!20\d{6}\.)([0-9a-f]{8,})(?:_\d{8})?\.(?!zip$)\w+$")


@dataclass(frozen=True)
class Weights:
    """A file of weights, and what is known about it.

    Attributes:
        name: Short name, or the address of a file that is not in the catalogue.
        url: Address at which it was published.
        kind: ``"checkpoint"``, ``"onnx"`` (a model, or an archive with one) or ``"backbone"``.
        sha256: The first hex digits of the SHA-256 of the file to use (of the model, where it comes in an
            archive), or all 64; None if they are not known.
        size: Size of the file to use in bytes, as users report it, or None.  It is shown, and never used to
            refuse a file.
        ap: Published average precision, or None if none was published.
    """

    name: str
    url: str
    kind: str = CHECKPOINT
    sha256: str | None = None
    size: int | None = None
    ap: float | None = None

    @property
    def ap_on(self) -> str:
        """The set of images that ``ap`` is of."""
        return "CrowdPose test" if self.name.endswith("crowdpose") else "COCO val2017"

    @property
    def file(self) -> str:
        """Name of the published file; the name of the weights where the file is called like many others."""
        file = PurePosixPath(urlparse(self.url).path).name
        return f"{self.name}.onnx" if file == "model.onnx" and self.kind == ONNX else file

    @property
    def is_archive(self) -> bool:
        """Whether the published file is an archive, and the file to use the model in it."""
        return self.kind == ONNX and PurePosixPath(self.file).suffix != ".onnx"

    @property
    def model_file(self) -> str:
        """Name of the file to use, which for an archive is the model that comes out of it."""
        return str(PurePosixPath(self.file).with_suffix(".onnx")) if self.is_archive else self.file


def find_weights(name: str) -> Weights:
    """Return the weights of a short name, such as ``rtmo-s_body7``.

    Raises:
        UnknownKeyError: The name is unknown; the message has the nearest name.

    Examples:
        >>> find_weights("rtmo-s_coco").sha256
        '8db55a59'
    """
    if name not in CATALOGUE:
        raise UnknownKeyError(f"No weights are named {name!r}{suggest_name(name)}")
    return CATALOGUE[name]


def suggest_name(name: str) -> str:
    """Return the end of a message about an unknown name."""
    near = get_close_matches(name, CATALOGUE, n=1, cutoff=0.5)
    return f": did you mean {near[0]}?" if near else "; `rtmo zoo list` shows the names."


def describe_url(url: str) -> Weights:
    """Return what is known about the file at ``url``, which need not be in the catalogue.

    Raises:
        MissingFileError: ``url`` is not an address, or ends without the name of a file.

    Examples:
        >>> describe_url("https://example.org/mine-0123abcd.pth").sha256
        '0123abcd'
    """
    known = [weights for weights in CATALOGUE.values() if weights.url == url]
    if not known and not _has_file(url):
        raise MissingFileError(f"{url} is not the address of a file.")
    return known[0] if known else _make(url, url)


def _has_file(url: str) -> bool:
    """Return whether an address ends with a name that a file can have: the file is kept under it."""
    try:
        name = PurePosixPath(urlparse(url).path).name
        return name not in ("", "..") and name.isprintable() and len(os.fsencode(name)) <= _MAX_NAME_BYTES
    except ValueError:  # brackets that do not match, or half a character
        return False


def _make(name: str, url: str, kind: str = CHECKPOINT, ap: float | None = None) -> Weights:
    """Return the weights at ``url``, with the hash that is reported or stands in the name of the file."""
    stated = _HASH_IN_NAME.search(urlparse(url).path)
    sha256 = _REPORTED_HASHES.get(name, stated[1] if stated else None)
    return Weights(name, url, kind, sha256, _REPORTED_SIZES.get(name), ap)


CATALOGUE = {  # in the order in which they are shown
    weights.name: weights
    for weights in (
        *(_make(name, f"{_RTMO}{stem}.pth", ap=ap) for name, (stem, ap) in _CHECKPOINTS.items()),
        *(_make(f"{name}-onnx", f"{_RTMO}onnx_sdk/{_CHECKPOINTS[name][0]}.zip", ONNX) for name in _WITH_ONNX),
        *(_make(name, url, ONNX) for name, url in _OTHER_EXPORTS.items()),
        *(_make(name, f"{_HOST}{path}.pth", BACKBONE) for name, path in _BACKBONES.items()),
    )
}
