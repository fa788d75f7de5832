"""The part of `mlt.py` that runs under MLT's own C library: renders the frames of a job through one OpenFX plug-in.

    python mlt_child.py JOB.json

Standard library only. Everything is MLT's public C interface, called by ctypes. Pixels are rgba64: four uint16 a pixel.
"""

from __future__ import annotations

import ctypes
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

mlt = ctypes.CDLL("libmlt-7.so.7")
for name in ("factory_init", "profile_init", "factory_filter", "frame_init", "filter_process"):
    getattr(mlt, f"mlt_{name}").restype = ctypes.c_void_p
mlt.mlt_image_format_name.restype = ctypes.c_char_p


class Profile(ctypes.Structure):
    """The start of mlt_profile_s: what size the pictures of a project have."""

    _fields_ = (
        ("description", ctypes.c_char_p),
        ("frame_rate_num", ctypes.c_int),
        ("frame_rate_den", ctypes.c_int),
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
    )


def pointer(function: str, *arguments) -> ctypes.c_void_p:
    address = getattr(mlt, f"mlt_{function}")(*arguments)
    if not address:
        raise SystemExit(f"mlt_{function} gave nothing for {arguments}")
    return ctypes.c_void_p(address)


def render(plugin: ctypes.c_void_p, rgba64: int, frame: dict) -> None:
    width, height = ctypes.c_int(frame["width"]), ctypes.c_int(frame["height"])
    pixels = ctypes.create_string_buffer(Path(frame["input"]).read_bytes())
    held = pointer("frame_init", None)
    mlt.mlt_frame_set_position(held, frame["position"])
    mlt.mlt_frame_set_image(held, pixels, len(pixels) - 1, None)
    for name, value in (("width", width), ("height", height), ("format", ctypes.c_int(rgba64))):
        mlt.mlt_properties_set_int(held, name.encode(), value)
    pointer("filter_process", plugin, held)
    image, form = ctypes.c_void_p(), ctypes.c_int(rgba64)
    failed = mlt.mlt_frame_get_image(
        held, ctypes.byref(image), ctypes.byref(form), ctypes.byref(width), ctypes.byref(height), ctypes.c_int(1)
    )
    if failed or form.value != rgba64 or (width.value, height.value) != (frame["width"], frame["height"]):
        raise SystemExit(f"MLT gave no picture of {frame}")
    Path(frame["output"]).write_bytes(ctypes.string_at(image.value, 8 * width.value * height.value))
    mlt.mlt_frame_close(held)


def main(job: dict) -> None:
    pointer("factory_init", job["repository"].encode())
    rgba64 = next(number for number in range(1, 100) if mlt.mlt_image_format_name(number) == b"rgba64")
    plugins = []
    for frame in job["frames"]:  # an instance for each frame, as when MLT renders in parallel
        profile = pointer("profile_init", None)
        size = Profile.from_address(profile.value)
        size.width, size.height = job["preview"] * frame["width"], job["preview"] * frame["height"]
        plugins.append(pointer("factory_filter", profile, job["plugin"].encode(), None))
        for name, value in job["parameters"].items():
            mlt.mlt_properties_set(plugins[-1], name.encode(), value.encode())
    with ThreadPoolExecutor(job["threads"]) as pool:
        for done in [pool.submit(render, plugins[n], rgba64, frame) for n, frame in enumerate(job["frames"])]:
            done.result()
    for plugin in plugins:
        mlt.mlt_filter_close(plugin)
    mlt.mlt_factory_close()


main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
