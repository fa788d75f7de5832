"""Folders for rendered frames: they go with what they were made for, or with the next of their kind after a crash.

A minute of a scan in 32 bits is tens of gigabytes, so that what a killed Nuke has left must not lie there for ever.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from pathlib import Path

from wetgate.errors import WetgateError
from wetgate.files import process_is_alive, sentence_for

_START = f".wetgate-frames-{re.sub(r'[^A-Za-z0-9.]', '_', socket.gethostname())}-"


def make_scratch(beside: str) -> Path:
    """Make a hidden folder in a folder that is there, out of which those of this machine's dead processes go.

    Raises:
        WetgateError: the folder cannot be written.
    """
    try:
        for path in Path(beside).glob(f"{_START}*"):
            process = path.name[len(_START) :].partition("-")[0]
            if process.isdecimal() and not process_is_alive(int(process)):
                shutil.rmtree(path, ignore_errors=True)
        return Path(tempfile.mkdtemp(prefix=f"{_START}{os.getpid()}-", dir=beside))
    except OSError as error:
        raise WetgateError(sentence_for(error, beside)) from error
