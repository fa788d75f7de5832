"""Writing video, through PyAV."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from wetgate.errors import WetgateError
from wetgate.files import atomic_path, make_folder, sentence_for
from wetgate.images.image import Image, Pixels
from wetgate.images.moving import Sink, Source
from wetgate.images.video import VideoSource
from wetgate.images.video_pixels import Colour, Shape, pixels_to_frame

_YUV = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")
_LOSSLESS_EXTRA = (
    "gbrp10le",
    "gbrp12le",
    "gbrap16le",
    "yuv422p12le",
    "yuv444p12le",
    "yuv411p",
    "gray",
    "gray10le",
    "gray16le",
)


@dataclass(frozen=True)
class _Recording:
    """How a codec is written: FFmpeg's encoder, pixel formats with the usual one first, options."""

    encoder: str
    formats: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()


_RECORDINGS = {
    "prores": _Recording("prores_ks", ("yuv422p10le", "yuv444p10le", "yuva444p10le"), (("vendor", "apl0"),)),
    "dnxhd": _Recording("dnxhd", ("yuv422p10le", "yuv422p", "yuv444p10le", "gbrp10le")),
    "ffv1": _Recording("ffv1", ("gbrp16le", *_YUV, *_LOSSLESS_EXTRA), (("level", "3"), ("slicecrc", "1"), ("g", "1"))),
    "v210": _Recording("v210", ("yuv422p10le",)),
    "h264": _Recording("libx264", _YUV, (("crf", "10"), ("g", "24"))),
    "mpeg2video": _Recording("mpeg2video", ("yuv420p", "yuv422p"), (("g", "12"), ("bf", "2"))),
}

_CODECS = {
    ".mov": ("prores", "dnxhd", "v210", "h264"),
    ".mxf": ("dnxhd", "mpeg2video"),
    ".mkv": ("ffv1", "h264", "mpeg2video"),
    ".avi": ("ffv1", "v210"),
    ".mp4": ("h264",),
    ".m4v": ("h264",),
    ".ts": ("h264", "mpeg2video"),
    ".mpg": ("mpeg2video",),
    ".mpeg": ("mpeg2video",),
    ".m2v": ("mpeg2video",),
    ".vob": ("mpeg2video",),
}
"""Codecs by suffix, the default first; a source's own codec is kept where the suffix allows it."""

_PRORES_PROFILES = {"apco": "0", "apcs": "1", "apcn": "2", "apch": "3", "ap4h": "4", "ap4x": "5"}
_MPEG2_QUANTISER = 2
_QUANTISER_TO_LAMBDA = 118


class VideoSink(Sink):
    """A video that appears under its name when it is closed.

    Frame rate, codec, pixel format, colour tags, pixel aspect and timecode are the source's where it is a
    video and the suffix allows its codec; otherwise 24 frames a second where nothing is stated, and by
    suffix ProRes 422 HQ, DNxHR HQX (always BT.709), FFV1 with 16-bit RGB, H.264, or MPEG-2.
    """

    def __init__(self, path: Path, like: Source) -> None:
        suffix = path.suffix.lower()
        if suffix not in _CODECS:
            raise WetgateError(f"{path} cannot be written; the name of a video must end in {', '.join(_CODECS)}.")
        self._path = path
        self._like = like if isinstance(like, VideoSource) else None
        self._fps = like.fps or Fraction(24)
        self._codec = next(
            (codec for codec in _CODECS[suffix] if self._like and codec == self._like.codec), _CODECS[suffix][0]
        )
        self._shape = self._choose_shape(_RECORDINGS[self._codec].formats)
        self._temporary = contextlib.ExitStack()
        self._container: Any = None
        self._stream: Any = None
        self._written = 0
        self._last: int | None = None

    def open(self) -> None:
        make_folder(self._path.parent)

    def path(self, frame: int) -> Path:
        return self._path

    def write(self, frame: int, pixels: Pixels, like: Image | None) -> None:
        """Append one frame.

        Raises:
            WetgateError: full disk, a size that the codec does not take, another size than before, or a
                frame that comes before the last one.
        """
        size = (pixels.shape[1], pixels.shape[0])
        if self._last is not None and frame <= self._last:
            raise WetgateError(
                f"{self._path} got frame {frame} after frame {self._last}; frames of a video must ascend."
            )
        with self._sentences():
            if self._container is None:
                self._start(size)
            if (self._stream.width, self._stream.height) != size:
                raise WetgateError(
                    f"{self._path} is {self._stream.width} x {self._stream.height}, but frame {frame} is "
                    f"{size[0]} x {size[1]}; all frames of a video must have one size."
                )
            alpha = like.alpha if like is not None and like.size == size else None
            picture = pixels_to_frame(pixels, alpha, self._shape, self._colour)
            picture.pts, picture.time_base = self._written, 1 / self._fps
            self._container.mux(self._stream.encode(picture))
        self._written += 1
        self._last = frame

    def close(self) -> None:
        if self._container is None:
            return
        with self._sentences():
            self._container.mux(self._stream.encode(None))
            self._container.close()
        self._temporary.close()
        self._container = None

    def abort(self) -> None:
        if self._container is None:
            return
        with contextlib.suppress(FFmpegError, OSError):
            self._container.close()
        self._container = None
        given_up = WetgateError("given up")
        with contextlib.suppress(WetgateError):
            self._temporary.__exit__(WetgateError, given_up, None)

    def _choose_shape(self, formats: tuple[str, ...]) -> Shape:
        """The source's own format, or else the one that loses least of its alpha, its chroma and its depth."""
        shapes = [Shape.of(name) for name in formats]
        if self._like is None:
            return shapes[0]
        wanted = self._like.shape

        def losses(shape: Shape) -> tuple[bool, ...]:
            other = shape.name != wanted.name.replace("yuvj", "yuv")
            alpha = wanted.channels[-1] == "A" and shape.channels[-1] != "A"
            chroma = len(wanted.channels) >= 3 and (len(shape.channels) < 3 or shape.step > wanted.step)
            return alpha, chroma, shape.bits < wanted.bits, other

        return min(shapes, key=losses)

    def _start(self, size: tuple[int, int]) -> None:
        across, down = self._shape.step
        if self._codec != "prores" and (size[0] % across or size[1] % down):
            raise WetgateError(
                f"{self._path} cannot be written: {self._codec} takes sizes that divide by {across} x {down}, "
                f"not {size[0]} x {size[1]}; choose ProRes (.mov), FFV1 (.mkv) or a picture sequence."
            )
        recording = _RECORDINGS[self._codec]
        temporary = self._temporary.enter_context(atomic_path(self._path))
        self._container = av.open(str(temporary), "w")
        stream: Any = self._container.add_stream(recording.encoder, rate=self._fps)
        stream.width, stream.height = size
        stream.pix_fmt = self._shape.name
        stream.options = {**dict(recording.options), **self._profile()}
        self._colour = (self._like.colour if self._like else Colour()).completed(size[1])
        if self._codec == "dnxhd":
            self._colour = Colour(1, 1, 1)  # the encoder states BT.709 in the stream, whatever it is told
        if self._codec == "mpeg2video":
            stream.codec_context.flags |= av.codec.context.Flags.qscale
            stream.codec_context.global_quality = _MPEG2_QUANTISER * _QUANTISER_TO_LAMBDA
        if not self._shape.rgb:
            self._colour.tag(stream.codec_context)
        if self._like is not None:
            stream.codec_context.sample_aspect_ratio = self._like.pixel_aspect
            if self._like.timecode:
                self._container.metadata["timecode"] = str(self._like.timecode)
        self._stream = stream

    def _profile(self) -> dict[str, str]:
        sparse = self._shape.step != (1, 1)
        if self._codec == "prores":
            tagged = (
                _PRORES_PROFILES.get(self._like.profile_tag) if self._like and self._like.codec == "prores" else None
            )
            fits = tagged is not None and (tagged in ("0", "1", "2", "3")) == sparse
            return {"profile": tagged if tagged is not None and fits else ("3" if sparse else "4")}
        if self._codec == "dnxhd":
            return {"profile": "dnxhr_444" if not sparse else "dnxhr_hqx" if self._shape.bits > 8 else "dnxhr_hq"}
        return {}

    @contextlib.contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except (FFmpegError, OSError) as error:
            if error.errno == errno.ENOSPC:
                raise WetgateError(sentence_for(OSError(errno.ENOSPC, ""), self._path)) from error
            size = f"{self._stream.width} x {self._stream.height}" if self._stream else "this size"
            raise WetgateError(
                f"{self._path} cannot be written as {self._codec} at {size}: {(error.strerror or str(error)).lower()}."
            ) from error
