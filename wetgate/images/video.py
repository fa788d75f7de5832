"""Reading video by frame number, through PyAV.

FFmpeg decodes; Y'CbCr becomes R'G'B' in :mod:`wetgate.images.yuv`, since FFmpeg's scaler drifts from the
exact levels. Both fields of an interlaced frame are one picture, non-square pixels stay as they are stored
(``PixelAspectRatio`` tells), and sound is not read.
"""

from __future__ import annotations

import bisect
import contextlib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError
from av.video.frame import VideoFrame

from wetgate.errors import WetgateError
from wetgate.images.image import DEPTHS, Header, Image, Window
from wetgate.images.moving import Source
from wetgate.images.video_pixels import Colour, Shape, frame_to_pixels

_KEPT_FRAMES = 4
_DURATION_TAG = re.compile(r"^(\d+):(\d+):(\d+(?:\.\d+)?)$")


class VideoSource(Source):
    """A video file, its frames numbered from 1 in the order in which they are shown.

    Frames are found by their time stamps, never by guessing from a frame rate: opening reads the
    container's index where every frame stands alone (ProRes, DNxHR, v210), else the whole file once.

    Attributes:
        codec: FFmpeg's name of the codec.
        profile_tag: the four-character code that names a codec's profile in QuickTime.
        colour: what the first frame states about its colour.
        shape: what its pixel format holds.
        pixel_aspect: width of a pixel over its height.
        timecode: of the first frame, as text, where the file has one.
    """

    is_video = True

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, VideoFrame] = OrderedDict()
        self._decoder: Iterator[VideoFrame] = iter(())
        self._next = 0
        self._awaits_key = False
        with self._sentences():
            self._open()
            self._read_index()
            self.frames = list(range(1, len(self._stamps) + 1))
            self._describe()

    def path(self, frame: int) -> Path:
        return self._path

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    @property
    def fps(self) -> Fraction | None:
        return self._fps

    def read(self, frame: int) -> Image:
        if not 1 <= frame <= len(self.frames):
            raise WetgateError(f"{self._path} has no frame {frame}; its frames run from 1 to {len(self.frames)}.")
        with self._sentences():
            with self._lock:
                decoded = self._decoded(frame - 1)
            if decoded.is_corrupt:
                raise WetgateError(f"frame {frame} is damaged")
            if (decoded.width, decoded.height) != self._size:
                width, height = self._size
                raise WetgateError(
                    f"frame {frame} is {decoded.width} x {decoded.height}, the first one {width} x {height}"
                )
            pixels, alpha = frame_to_pixels(decoded, centred=self.codec == "mjpeg")
        return Image(pixels, alpha, self._header(), self._path)

    def close(self) -> None:
        with self._lock:
            self._kept.clear()
            self._container.close()

    @contextlib.contextmanager
    def _sentences(self) -> Iterator[None]:
        """Name the file in everything that goes wrong with it."""
        try:
            yield
        except FFmpegError as error:
            reason = (error.strerror or str(error)).strip(" .").lower()
            raise WetgateError(f"{self._path} cannot be read: {reason}. It may be damaged or cut off.") from error
        except WetgateError as error:
            raise WetgateError(f"{self._path} cannot be read: {str(error).strip(' .')}.") from error

    def _open(self) -> None:
        if self._path.stat().st_size == 0:
            raise WetgateError("it is empty (0 bytes)")
        self._container = av.open(str(self._path), metadata_errors="replace")
        if not self._container.streams.video:
            raise WetgateError("it holds no picture")
        self._stream: Any = self._container.streams.video[0]
        if self._stream.codec_context is None:
            raise WetgateError("its codec is not known")
        self._stream.thread_type = "AUTO"

    def _read_index(self) -> None:
        """Find the time stamp of every frame, and the frames at which decoding can start."""
        stream = self._stream
        entries = [entry for entry in stream.index_entries if not entry.is_discard]
        if stream.codec_context.codec.intra_only and entries and len(stream.index_entries) == stream.frames:
            end = max(entry.pos + entry.size for entry in entries)
            if end > self._path.stat().st_size:
                raise WetgateError("it is cut off")
            stamps: list[int | None] = [entry.timestamp for entry in entries]
            keys = stamps
        else:
            packets = [packet for packet in self._container.demux(stream) if packet.size and not packet.is_discard]
            if packets and packets[-1].is_corrupt:
                raise WetgateError("it is cut off: its last frame is not whole")
            stamps = [packet.pts for packet in packets]
            keys = [packet.pts for packet in packets if packet.is_keyframe]
        if not stamps:
            raise WetgateError("it holds no frame")
        if len(stamps) < self._stated_frames():
            raise WetgateError(f"it is cut off: {len(stamps)} of {self._stated_frames()} frames are there")
        known = sorted({stamp for stamp in stamps if stamp is not None})
        self._seekable = len(known) == len(stamps)
        self._stamps = known if self._seekable else list(range(len(stamps)))
        self._number = {stamp: number for number, stamp in enumerate(self._stamps)}
        self._keys = sorted({0, *(self._number[key] for key in keys if key is not None)}) if self._seekable else [0]
        self._restart()

    def _stated_frames(self) -> int:
        """How many frames the file claims; 0 where it makes no claim."""
        stream = self._stream
        if stream.frames:
            return int(stream.frames) - sum(entry.is_discard for entry in stream.index_entries)
        rate = stream.average_rate
        tag = _DURATION_TAG.match(str(stream.metadata.get("DURATION", "")))
        if tag and rate:
            seconds = int(tag[1]) * 3600 + int(tag[2]) * 60 + Fraction(tag[3])
            return int(seconds * rate + Fraction(1, 2))
        if self._container.format.name == "mxf" and stream.duration and rate:
            return int(stream.duration * stream.time_base * rate)
        return 0

    def _describe(self) -> None:
        first = self._decoded(0)
        stream, context = self._stream, self._stream.codec_context
        rate = stream.guessed_rate or stream.average_rate
        self._fps = Fraction(rate) if rate else None
        self._size = (first.width, first.height)
        self.codec = str(context.name)
        self.profile_tag = str(context.codec_tag)
        self.shape = Shape.of(first.format.name)
        self.colour = Colour.of(first)
        aspect = stream.sample_aspect_ratio
        self.pixel_aspect = Fraction(aspect) if aspect else Fraction(1)
        self.timecode = stream.metadata.get("timecode") or self._container.metadata.get("timecode")
        attributes: dict[str, Any] = {
            "PixelAspectRatio": float(self.pixel_aspect),
            "video/codec": " ".join(str(part) for part in (self.codec, context.profile) if part),
            "video/pixelFormat": first.format.name,
            "video/matrix": self.colour.matrix_name(first.height) if not self.shape.rgb else "rgb",
            "video/range": "full" if self.colour.full_range else "limited",
            "video/interlaced": int(first.interlaced_frame),
        }
        types = {"PixelAspectRatio": "float"}
        if self._fps:
            attributes["FramesPerSecond"] = (self._fps.numerator, self._fps.denominator)
            types["FramesPerSecond"] = "rational2i"
        if self.timecode:
            attributes["video/timecode"] = str(self.timecode)
        self._attributes, self._types = attributes, types

    def _header(self) -> Header:
        window = Window(0, 0, *self._size)
        depth = next(depth for depth in DEPTHS if int(depth) >= self.shape.bits)
        return Header("video", depth, self.shape.channels, window, window, dict(self._attributes), dict(self._types))

    def _decoded(self, number: int) -> VideoFrame:
        """The frame with this number, counted from 0; decodes onward, or seeks and decodes."""
        if number in self._kept:
            return self._kept[number]
        key = self._keys[max(0, bisect.bisect_right(self._keys, number) - 1)]
        decoded = None
        if key <= self._next <= number:
            decoded = self._decode_to(number)
        if decoded is None and self._seekable:
            self._seek(key)
            decoded = self._decode_to(number)
        if decoded is None:
            self._restart()
            decoded = self._decode_to(number)
        if decoded is None:
            raise WetgateError(f"frame {number + 1} could not be decoded")
        return decoded

    def _decode_to(self, number: int) -> VideoFrame | None:
        for decoded in self._decoder:
            if self._awaits_key and not decoded.key_frame:
                continue
            self._awaits_key = False
            at: int | None = self._next
            if self._seekable:
                at = None if decoded.pts is None else self._number.get(decoded.pts)
            if at is None:
                continue
            self._next = at + 1
            self._kept[at] = decoded
            if len(self._kept) > _KEPT_FRAMES:
                self._kept.popitem(last=False)
            if at >= number:
                return decoded if at == number else None
        return None

    def _seek(self, key: int) -> None:
        with contextlib.suppress(FFmpegError):
            self._container.seek(self._stamps[key], stream=self._stream)
        self._decoder = self._container.decode(self._stream)
        self._awaits_key = True

    def _restart(self) -> None:
        self._container.close()
        self._open()
        self._decoder = self._container.decode(self._stream)
        self._next = 0
        self._awaits_key = False
