"""What the inference server holds: each model and each file of curves read once, new files noticed."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wetgate.errors import WetgateError
from wetgate.inference.curves import STEADY, Curves, load_curves, sidecar
from wetgate.inference.session import Session, cuda_is_offered
from wetgate.inference.tiles import Restorer
from wetgate.onnx_model import ModelCard, open_model

KEPT_SESSIONS = 4
"""Of several models in turn, so many stay loaded."""
KEPT_CARDS = 64
KEPT_CURVES = 8
"""Those of a reel take longer to read than a small frame to restore."""

_HALF = "_fp16"

Version = tuple[int, int, int]


@dataclass(frozen=True)
class Described:
    """A model file that passed every check: what it says, its hash, and whether it gives coverage."""

    card: ModelCard
    sha256: str
    gives_coverage: bool


@dataclass(frozen=True)
class Loaded:
    """A model on a device.

    Attributes:
        restorer: runs it.
        sha256: hash of the file that was asked for.
        bits: of the network's arithmetic: 32, or 16 where the 16-bit variant runs in its place.
    """

    restorer: Restorer
    sha256: str
    bits: int

    @property
    def device(self) -> str:
        """Where it really runs: "cpu" or "cuda"."""
        return self.restorer.session.device


class Models:
    """The models in use. A file that was replaced is loaded anew; methods may be called from several threads."""

    def __init__(self) -> None:
        self._cards: OrderedDict[Path, tuple[Version, Described | str]] = OrderedDict()
        self._sessions: OrderedDict[tuple[Path, str], tuple[Version, Loaded]] = OrderedDict()
        self._curves: OrderedDict[Path, tuple[Version, Curves]] = OrderedDict()
        self._lock = threading.Lock()

    def curves(self, path: Path) -> Curves:
        """The exposure curves that the file holds now.

        Raises:
            WetgateError: as :func:`wetgate.inference.curves.load_curves`.
        """
        version = _version(path)
        with self._lock:
            known = self._curves.get(path)
        if known is None or known[0] != version:
            known = version, load_curves(path)
        with self._lock:
            self._curves[path] = known
            _forget_oldest(self._curves, path, KEPT_CURVES)
        return known[1]

    def curves_for(self, model: Path, named: str) -> Curves | None:
        """What steadies the frames that ``model`` is given: the file that is ``named``, or what lies beside a model of
        the recipe `steady`; None where there is neither, and the model can do without.

        Raises:
            WetgateError: as :meth:`describe` and :meth:`curves`; the file is of another encoding than the model; or a
                model of the recipe `steady` lies alone.
        """
        card = self.describe(model).card
        if named:
            found = self.curves(Path(named))
            if card.encoding not in ("", found.encoding):
                raise WetgateError(
                    f"{named} was measured on {found.encoding} pictures, but {model.name} was trained on "
                    f"{card.encoding} ones: measure the scan for --encoding {card.encoding}."
                )
            return found
        if card.recipe != STEADY:
            return None
        if not sidecar(model).exists():
            raise WetgateError(
                f"{sidecar(model)} is missing, which says what this model does to each frame: put it beside the model, "
                "or name a file of curves."
            )
        return self.curves(sidecar(model))

    def wants_curves(self, model: Path) -> bool:
        """Whether a file of curves should be named for ``model``.

        Raises:
            WetgateError: as :meth:`describe`.
        """
        card = self.describe(model).card
        return not sidecar(model).exists() if card.recipe == STEADY else card.steady

    def describe(self, path: Path) -> Described:
        """What the file says now. A refusal, too, is remembered until the file changes, unless it was not read at all.

        Raises:
            WetgateError: as :func:`wetgate.onnx_model.open_model`.
        """
        version = _version(path)
        with self._lock:
            known = self._cards.get(path)
        if known is None or known[0] != version:
            try:
                model = open_model(path)
                known = version, Described(model.card, model.sha256, len(model.outputs) > 1)
            except WetgateError as error:
                if isinstance(error.__cause__, OSError):  # of permissions or of the disk, which tell nothing by dates
                    raise
                known = version, str(error)
            with self._lock:
                self._cards[path] = known
                _forget_oldest(self._cards, path, KEPT_CARDS)
        if isinstance(known[1], str):
            raise WetgateError(known[1])
        return known[1]

    def load(self, path: Path, device: str) -> Loaded:
        """The model on ``device``; on a GPU its 16-bit variant, where ``MODEL_fp16.onnx`` beside it is that.

        Raises:
            WetgateError: as :class:`Session`.
        """
        version = _version(path)
        with self._lock:
            for key in [key for key, (known, _) in self._sessions.items() if key[0] == path and known != version]:
                del self._sessions[key]  # before the next one takes memory, too
            found = self._sessions.get((path, device))
        loaded = found[1] if found else self._load(path, device)
        with self._lock:
            for name in (device, loaded.device):  # "auto" comes to one of the others
                self._sessions[path, name] = version, loaded
                _forget_oldest(self._sessions, (path, name), 2 * KEPT_SESSIONS)
        return loaded

    def loaded(self) -> list[tuple[Path, Loaded]]:
        """What is loaded, the longest unused first."""
        with self._lock:
            return [(path, loaded) for (path, name), (_, loaded) in self._sessions.items() if name == loaded.device]

    def _load(self, path: Path, device: str) -> Loaded:
        described = self.describe(path)
        if device != "cpu" and cuda_is_offered():
            half = path.with_name(path.stem + _HALF + path.suffix)
            with contextlib.suppress(WetgateError):
                if self.describe(half).card.half_of == described.sha256:
                    return Loaded(Restorer(Session(half, "cuda")), described.sha256, 16)
        session = Session(path, device)
        return Loaded(Restorer(session), session.model_sha256, 32)


def _version(path: Path) -> Version:
    """Tells a file from one that replaced it; zeros where there is none."""
    try:
        state = path.stat()
    except OSError:
        return 0, 0, 0
    return state.st_mtime_ns, state.st_size, state.st_ino


def _forget_oldest(kept: OrderedDict[Any, Any], latest: Any, most: int) -> None:
    kept.move_to_end(latest)
    while len(kept) > most:
        kept.popitem(last=False)
