"""FFmpeg's frames as floats, and floats as FFmpeg's frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.images.image import Pixels
from wetgate.images.samples import codes_to_float, float_to_codes, single_channel
from wetgate.images.yuv import Coding, float_to_luma, luma_to_float, planes_to_rgb, rgb_to_planes

_MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
_MATRIX_UNSTATED = (0, 2, 3)
_RANGE_LIMITED, _RANGE_FULL = 1, 2
_HD_LINES = 720

_PLANAR_TWINS = {
    "rgb24": "gbrp",
    "bgr24": "gbrp",
    "bgr0": "gbrp",
    "rgb0": "gbrp",
    "0rgb": "gbrp",
    "0bgr": "gbrp",
    "rgba": "gbrap",
    "bgra": "gbrap",
    "argb": "gbrap",
    "abgr": "gbrap",
    "rgb48le": "gbrp16le",
    "rgb48be": "gbrp16le",
    "bgr48le": "gbrp16le",
    "bgr48be": "gbrp16le",
    "rgba64le": "gbrap16le",
    "rgba64be": "gbrap16le",
    "x2rgb10le": "gbrp10le",
    "uyvy422": "yuv422p",
    "yuyv422": "yuv422p",
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "p010le": "yuv420p10le",
    "p210le": "yuv422p10le",
    "y210le": "yuv422p10le",
}


@dataclass(frozen=True)
class Colour:
    """Code points of ITU-T H.273, as FFmpeg numbers them; 2 is unspecified."""

    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    full_range: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Colour:
        """What a decoded frame states, and the usual range of its format where it states none."""
        stated = int(frame.color_range)
        usually_full = frame.format.name.startswith(("yuvj", "gray", "gb", "rgb", "bgr"))
        full = stated == _RANGE_FULL or (stated != _RANGE_LIMITED and usually_full)
        return cls(int(frame.colorspace), int(frame.color_primaries), int(frame.color_trc), full)

    def matrix_name(self, height: int) -> str:
        """The matrix; where none is stated BT.709 for pictures of 720 lines and more, else BT.601."""
        if self.matrix in _MATRIX_UNSTATED:
            return "bt709" if height >= _HD_LINES else "bt601"
        try:
            return _MATRICES[self.matrix]
        except KeyError:
            raise WetgateError(f"colour matrix {self.matrix} of ITU-T H.273 is not one that Wetgate converts") from None

    def completed(self, height: int) -> Colour:
        """The same with the matrix that is assumed written out, and its primaries and transfer with it."""
        if self.matrix not in _MATRIX_UNSTATED:
            return self
        assumed = 1 if self.matrix_name(height) == "bt709" else 6
        primaries = assumed if self.primaries == 2 else self.primaries
        return Colour(assumed, primaries, assumed if self.transfer == 2 else self.transfer, self.full_range)

    def tag(self, target: Any) -> None:
        """State this on a frame or a codec context."""
        target.colorspace = self.matrix
        target.color_primaries = self.primaries
        target.color_trc = self.transfer
        target.color_range = _RANGE_FULL if self.full_range else _RANGE_LIMITED


@dataclass(frozen=True)
class Shape:
    """What a planar pixel format holds."""

    name: str
    bits: int
    channels: tuple[str, ...]
    step: tuple[int, int]
    rgb: bool

    @classmethod
    def of(cls, name: str) -> Shape:
        """Describe a pixel format, by its planar twin where it is packed."""
        name = _PLANAR_TWINS.get(name, name)
        form = VideoFormat(name, 16, 16)
        components = form.components
        planes = {component.plane for component in components}
        bits = {component.bits for component in components}
        if (
            len(planes) != len(components)
            or bits.isdisjoint(range(8, 17))
            or len(bits) > 1
            or form.has_palette
            or "xyz" in name
        ):
            raise WetgateError(f"its pixel format {name} is not one that Wetgate converts")
        alpha = components[-1].is_alpha
        colours = len(components) - alpha
        step = (16 // components[1].width, 16 // components[1].height) if colours == 3 else (1, 1)
        return cls(name, bits.pop(), (("Y",) if colours == 1 else ("R", "G", "B")) + ("A",) * alpha, step, form.is_rgb)

    def coding(self, colour: Colour, height: int, centred: bool) -> Coding:
        """How Y'CbCr codes in this format stand for colour."""
        return Coding(self.bits, colour.matrix_name(height), colour.full_range, self.step, centred)


def frame_to_pixels(frame: VideoFrame, centred: bool) -> tuple[Pixels, Pixels | None]:
    """Colour [H, W, 3] and alpha [H, W] of a decoded frame; ``centred`` as in :class:`Coding`.

    Raises:
        WetgateError: the end of a sentence, for a format or a matrix that is not known.
    """
    shape = Shape.of(frame.format.name)
    colour = Colour.of(frame)
    if shape.name != frame.format.name:
        frame = frame.reformat(format=shape.name)
    planes = [_plane(frame, index, shape) for index in range(len(shape.channels))]
    if len(shape.channels) < 3:
        pixels = luma_to_float(planes[0], shape.bits, colour.full_range)[..., None].repeat(3, axis=2)
    elif shape.rgb:
        pixels = codes_to_float(np.stack(planes[:3], axis=2), shape.bits)
    else:
        pixels = planes_to_rgb(planes[0], planes[1], planes[2], shape.coding(colour, frame.height, centred))
    return pixels, codes_to_float(planes[-1], shape.bits) if shape.channels[-1] == "A" else None


def pixels_to_frame(pixels: Pixels, alpha: Pixels | None, shape: Shape, colour: Colour) -> VideoFrame:
    """A frame for an encoder, tagged with its colour; a missing alpha is opaque."""
    height, width = pixels.shape[:2]
    frame = VideoFrame(width, height, shape.name)
    planes: list[NDArray[Any]]
    if len(shape.channels) < 3:
        planes = [float_to_luma(np.nan_to_num(single_channel(pixels)), shape.bits, colour.full_range)]
    elif shape.rgb:
        planes = [float_to_codes(pixels[..., index], shape.bits) for index in range(3)]
    else:
        planes = list(rgb_to_planes(pixels, shape.coding(colour, height, centred=False)))
    if shape.channels[-1] == "A":
        opaque = np.ones((height, width), np.float32)
        planes.append(float_to_codes(opaque if alpha is None else alpha, shape.bits))
    for index, codes in enumerate(planes):
        _fill(frame, index, codes, shape)
    colour.tag(frame)
    return frame


def _dtype(frame: VideoFrame, shape: Shape) -> np.dtype[Any]:
    if shape.bits == 8:
        return np.dtype(np.uint8)
    return np.dtype(">u2" if frame.format.is_big_endian else "<u2")


def _plane(frame: VideoFrame, index: int, shape: Shape) -> NDArray[Any]:
    component = frame.format.components[index]
    plane = frame.planes[component.plane]
    kind = _dtype(frame, shape)
    rows = np.frombuffer(memoryview(plane), np.uint8, plane.line_size * component.height).reshape(component.height, -1)
    return np.ascontiguousarray(rows[:, : component.width * kind.itemsize]).view(kind)


def _fill(frame: VideoFrame, index: int, codes: NDArray[Any], shape: Shape) -> None:
    component = frame.format.components[index]
    plane = frame.planes[component.plane]
    rows = np.zeros((plane.height, plane.line_size), np.uint8)
    data = np.ascontiguousarray(codes.astype(_dtype(frame, shape))).view(np.uint8)
    rows[: data.shape[0], : data.shape[1]] = data
    plane.update(rows.tobytes())
