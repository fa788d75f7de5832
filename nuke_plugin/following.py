"""Which model of a restoration is the newest, and who wants to know when another one comes.

A trainer replaces its run's model.onnx whole at each checkpoint, so that a look at names, times and sizes tells. The
looks happen in a thread of their own: a network disk that hangs must not hold Nuke up.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

LOOK_EVERY_S = 1.0
"""The trainer writes a model every few seconds at most."""


@dataclass(frozen=True)
class Model:
    """A model file as it was when it was looked at.

    Attributes:
        path: the file.
        state: when it was changed (ns) and its size in bytes; the same for the same file only.
    """

    path: str
    state: tuple[int, int]


Arrived = Callable[[str, str, Model], None]
"""Told the follower's name, the restoration's folder and the model."""


def newest_model(restoration: str) -> Optional[Model]:
    """The model of the newest run that has one; None before the first, and where there is no restoration."""
    with contextlib.suppress(OSError):
        runs = sorted((name for name in os.listdir(os.path.join(restoration, "runs")) if name.isdecimal()), key=int)
        for name in reversed(runs):
            path = os.path.join(restoration, "runs", name, "model.onnx")
            with contextlib.suppress(OSError):
                found = os.stat(path)
                return Model(path, (found.st_mtime_ns, found.st_size))
    return None


def restoration_of(model: str) -> str:
    """The restoration folder that a run's model lies in; "" for a model from elsewhere."""
    parts = Path(model).parts
    inside = len(parts) > 3 and parts[-3] == "runs" and parts[-2].isdecimal()
    return str(Path(*parts[:-3])) if inside else ""


class Follower:
    """Looks at restorations for those who follow them, as long as there are any.

    Args:
        arrived: called for each new model, the one that is there at first included.
        deliver: brings a call into the thread in which ``arrived`` may be called.
        every_s: seconds between two looks.
    """

    def __init__(self, arrived: Arrived, deliver: Callable[..., None], *, every_s: float = LOOK_EVERY_S) -> None:
        self._arrived, self._deliver, self._every_s = arrived, deliver, every_s
        self._followed: dict[str, tuple[str, Optional[Model]]] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: Optional[threading.Thread] = None

    def follow(self, name: str, restoration: str) -> None:
        """Tell ``name`` of this restoration's models from now on, and of no other's."""
        with self._lock:
            if self._followed.get(name, ("", None))[0] == restoration:
                return
            self._followed[name] = (restoration, None)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="wetgate-follow", daemon=True)
                self._thread.start()
        self._wake.set()

    def leave(self, name: str) -> None:
        """Tell ``name`` of nothing any more."""
        with self._lock:
            self._followed.pop(name, None)
        self._wake.set()

    def followed(self) -> dict[str, str]:
        """Who follows which restoration."""
        with self._lock:
            return {name: restoration for name, (restoration, _) in self._followed.items()}

    def _look(self) -> None:
        while True:
            self._wake.clear()
            followed = self.followed()
            for restoration in sorted(set(followed.values())):
                model = newest_model(restoration)
                if model is not None:
                    self._tell(restoration, model)
            with self._lock:
                if not self._followed:
                    self._thread = None
                    return
            self._wake.wait(self._every_s)

    def _tell(self, restoration: str, model: Model) -> None:
        with self._lock:
            names = [name for name, known in self._followed.items() if known[0] == restoration and known[1] != model]
            for name in names:
                self._followed[name] = (restoration, model)
        for name in names:
            self._deliver(self._arrived, name, restoration, model)
