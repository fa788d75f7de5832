"""From what the artist typed to a source or a sink.

A PATTERN is a folder with one sequence in it, ``shot.####.exr``, ``shot.%04d.exr``, one picture, or a
video. Frames carry the numbers of their file names; a video's frames count from 1.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from wetgate.errors import WetgateError
from wetgate.images.moving import Sink, Source
from wetgate.images.sequences import Naming, PictureSink, PictureSource
from wetgate.images.still import FORMATS

VIDEO_SUFFIXES = (".mov", ".mp4", ".m4v", ".mkv", ".mxf", ".avi", ".mpg", ".mpeg", ".m2v", ".vob", ".ts", ".dv")


def open_source(pattern: str | os.PathLike[str]) -> Source:
    """Open a PATTERN for reading.

    Raises:
        WetgateError: nothing is there, a folder holds no sequence or several, a video is unreadable or cut off.
    """
    path = Path(pattern)
    if path.is_dir():
        return PictureSource.of_folder(path)
    naming = Naming.of(path)
    if naming is not None and not path.exists():
        return PictureSource.of_naming(naming)
    if not path.exists():
        raise WetgateError(
            f"{path} does not exist; give a folder, a pattern such as shot.####.exr, a picture or a video."
        )
    if path.suffix.lower() in VIDEO_SUFFIXES:
        from wetgate.images.video import VideoSource

        return VideoSource(path)
    return PictureSource.of_file(path)


def open_sink(pattern: str | os.PathLike[str], like: Source) -> Sink:
    """Open a PATTERN for frames restored from ``like``.

    A folder takes the file names and the format of the source (``name.000001.exr`` for a video), a pattern
    names its own, a video's name makes a video, and a picture's name takes a source of one frame.

    Raises:
        WetgateError: the output is the source, lies in the folder of a source sequence, has a suffix that
            cannot be written, or its folder cannot be made.
    """
    path = Path(pattern)
    sink = _sink_for(path, like)
    _protect_source(sink, path, like)
    sink.open()
    return sink


def _sink_for(path: Path, like: Source) -> Sink:
    suffix = path.suffix.lower()
    naming = Naming.of(path)
    if path.is_dir() or (naming is None and suffix not in FORMATS and suffix not in VIDEO_SUFFIXES):
        return PictureSink(path, Naming(path, f"{Path(like.name).stem}.", 6, ".exr") if like.is_video else like)
    if suffix in VIDEO_SUFFIXES and naming is None:
        from wetgate.images.video_sink import VideoSink

        return VideoSink(path, like)
    if suffix not in FORMATS:
        raise WetgateError(f"{path} cannot be written; the name of a sequence must end in {', '.join(FORMATS)}.")
    if naming is None and len(like.frames) > 1:
        raise WetgateError(
            f"{path} is one picture, but {like.name} has {len(like.frames)} frames; name it {path.stem}.####{suffix}."
        )
    return PictureSink(path.parent, naming or path.name)


def _protect_source(sink: Sink, path: Path, like: Source) -> None:
    """No file of the source is overwritten, and nothing is added to the folder of a sequence."""
    first = like.frames[0]
    source, output = like.path(first), sink.path(first)
    if output.resolve() == source.resolve():
        raise WetgateError(f"{path} would overwrite the source {source}; choose another output.")
    if isinstance(like, PictureSource) and like.folder is not None:
        require_outside(path, output.resolve().parent, [source])


def require_outside_sequence(path: Path, folder: Path, source: Source) -> None:
    """:func:`require_outside` of a sequence's frames; beside a video or a single picture anything may lie.

    Raises:
        WetgateError: ``folder`` is that of a source sequence, or below it.
    """
    if not source.is_video and len(source.frames) > 1:
        require_outside(path, folder, [source.path(source.frames[0])])


def require_outside(path: Path, folder: Path, sources: Iterable[Path]) -> None:
    """Fail where what is written would come to lie among a source's files, or in a folder below theirs.

    Args:
        path: what was asked for, as the sentence shall name it.
        folder: the folder that would be written into, there or not.
        sources: files of the source; both where they seem to lie and where links lead to is kept clean.

    Raises:
        WetgateError: it would.
    """
    folder = folder.resolve()
    for source in sources:
        if {source.parent.resolve(), source.resolve().parent} & {folder, *folder.parents}:
            raise WetgateError(
                f"{path} lies in the source's folder {source.parent}, where nothing is written; choose another folder."
            )
