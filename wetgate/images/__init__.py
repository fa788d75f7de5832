"""Pictures in and out: stills, sequences, video, and what their values mean. No torch here."""

from wetgate.images.encodings import ENCODINGS, LUMA, from_display, from_linear, guess_encoding, to_display, to_linear
from wetgate.images.frames import format_frames, parse_frames
from wetgate.images.image import DEPTHS, Header, Image, Pixels, Window
from wetgate.images.moving import Sink, Source
from wetgate.images.opening import open_sink, open_source, require_outside, require_outside_sequence
from wetgate.images.still import FORMAT_DEPTHS, read_header, read_image, write_image

__all__ = [
    "DEPTHS",
    "ENCODINGS",
    "FORMAT_DEPTHS",
    "LUMA",
    "Header",
    "Image",
    "Pixels",
    "Sink",
    "Source",
    "Window",
    "format_frames",
    "from_display",
    "from_linear",
    "guess_encoding",
    "open_sink",
    "open_source",
    "parse_frames",
    "read_header",
    "read_image",
    "require_outside",
    "require_outside_sequence",
    "to_display",
    "to_linear",
    "write_image",
]
