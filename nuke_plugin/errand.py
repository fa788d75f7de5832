"""What is done in the background for a node: where it may write, what it says, and how it ends."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Optional

from nuke_plugin import host
from nuke_plugin.scratch import make_scratch
from wetgate.errors import WetgateError
from wetgate.files import make_folder

Say = Callable[[str], None]
"""Told how it stands, in a sentence, in Nuke's main thread."""
Ended = Callable[[Optional[str]], None]
"""Told the result in the end, None where there is none, in Nuke's main thread."""


class Errand:
    """One of them, in Nuke's main thread.

    Args:
        say: told how it stands.
        ended: told the result, once, whatever happens.
    """

    def __init__(self, say: Say, ended: Ended) -> None:
        self.say, self._ended = say, ended
        self._folder = ""
        self._was_there = True
        self._scratch: Optional[Path] = None

    def begin(self, output: str, scan: Optional[str] = None, mask: Optional[str] = None) -> None:
        """Make the folder that the result goes into.

        Args:
            output: what is to be written.
            scan: the node whose files must not lie there, nor in a folder above, as for `wetgate apply`.
            mask: the node whose files must not lie there.

        Raises:
            WetgateError: they do, or Nuke cannot write there.
        """
        folder = os.path.dirname(output)
        if not os.path.isabs(folder):
            raise WetgateError(f"{output} is not a whole path: choose where the restored frames go.")
        if not host.is_for_one_frame(folder):
            raise WetgateError(f"Nuke takes the # or % in {folder} for a frame's number: choose another folder.")
        for node, or_above in ((scan, True), (mask, False)):
            if node and host.comes_from(node, folder, or_above=or_above):
                raise WetgateError(
                    f"{folder} is in the folder of files that {node} comes from, where nothing is written: choose "
                    "another."
                )
        self._was_there = os.path.isdir(folder)
        make_folder(folder)
        self._folder = folder

    def scratch(self) -> Path:
        """A hidden folder beside the result, which goes when this ends; the same at every call.

        Raises:
            WetgateError: it cannot be made.
        """
        if self._scratch is None:
            self._scratch = make_scratch(self._folder)
        return self._scratch

    def fail(self, sentence: str) -> None:
        """It has come to nothing: say so on the node, and to the artist, who may look at something else by now."""
        self.end(sentence)
        host.tell(sentence)

    def end(self, sentence: str, result: Optional[str] = None) -> None:
        """Leave nothing but the result."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        if not self._was_there:
            with contextlib.suppress(OSError):  # it holds a result
                os.rmdir(self._folder)
        self.say(sentence)
        self._ended(result)
