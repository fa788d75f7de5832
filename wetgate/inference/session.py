"""One loaded model on one device."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from wetgate.errors import WetgateError
from wetgate.onnx_model import DAMAGE, ModelCard, open_model

DEVICES = ("auto", "cpu", "cuda")
CPU_BUDGET = 1152 << 20
"""Bytes for a model's intermediate results on the CPU: all sessions of a process share them. An HD frame is whole then,
and a process that restores 4K stays below 2 GB.
"""
CUDA_SHARE = 1 / 3
"""Of a GPU's memory, for one session; the rest belongs to the artist's other programs."""

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_OUT_OF_MEMORY = ("Available memory of", "allocate memory", "out of memory", "bad_alloc", "bad allocation")
_ONLY_FATAL = 4
_LEAST_CUDA_BUDGET = 2 << 30

Array = NDArray[np.float32]


class OutOfMemory(WetgateError):
    """A picture needs more memory than the budget: smaller tiles may fit."""


class Stopped(WetgateError):
    """The computation was given up because somebody asked for it."""


class Stop:
    """Ends a computation from another thread: at once between tiles, else after the operator at work."""

    def __init__(self) -> None:
        self.options = ort.RunOptions()
        self.requested = False

    def request(self) -> None:
        """End it; what waits for it gets :class:`Stopped`."""
        self.requested = True
        self.options.terminate = True


class Session:
    """A checked model, ready to run. Calls of :meth:`run` may come from several threads.

    Args:
        path: the model file; :func:`wetgate.onnx_model.open_model` checks it first. It is run from
            memory, so that it can open no other file.
        device: "cpu", "cuda", or "auto" (CUDA where it works, else the CPU).
        part: of the GPU memory that a session may have; less than all where several work side by side.

    Attributes:
        card: the model's :class:`~wetgate.onnx_model.ModelCard`.
        model_sha256: hash of the file.
        device: "cpu" or "cuda": where the model really runs.
        takes_damage: whether it can be told where to repair.

    Raises:
        WetgateError: the file fails a check, onnxruntime cannot load it, or CUDA was asked for and
            is not available.
    """

    card: ModelCard
    model_sha256: str
    device: str
    takes_damage: bool

    def __init__(self, path: str | os.PathLike[str], device: str = "auto", part: float = 1.0) -> None:
        if device not in DEVICES:
            raise WetgateError(f"'{device}' is no device: choose one of {', '.join(DEVICES)}.")
        model = open_model(path)
        self.card, self.model_sha256 = model.card, model.sha256
        self._path, self._input, self._outputs = model.path, model.input, model.outputs
        self.takes_damage = model.takes_damage
        bounded = self.card.halo is not None
        wanted = ("cuda", "cpu") if device == "auto" else (device,)
        for name in wanted:
            try:
                session = _load(model.path, model.data, name, bounded, part)
            except WetgateError:
                if name == wanted[-1]:
                    raise
                continue
            if session is not None:
                self._session, self.device = session, name
                return
        raise WetgateError(
            "CUDA was asked for, but it does not work here "
            f"(onnxruntime offers {', '.join(_offered())}). "
            "Install the GPU version and an NVIDIA driver, or choose --device cpu."
        )

    def run(self, frames: Array, stop: Stop | None = None, damage: Array | None = None) -> tuple[Array, Array | None]:
        """Restore a batch of windows.

        Args:
            frames: float32 [N, 3*(2r+1), H, W], oldest frame first, in the card's encoding, finite.
            stop: ends the computation from another thread.
            damage: float32 [N, 1, H, W], above 0.5 where to repair and nowhere else; None: the model finds it. Only
                for a model that takes it.

        Returns:
            restored float32 [N, 3, H, W], and coverage float32 [N, 1, H, W] or None.

        Raises:
            Stopped: ``stop`` was requested.
            OutOfMemory: the batch does not fit the memory budget.
            WetgateError: the model fails on this size, or returns another shape than it promised.
            ValueError: ``frames`` has another shape or type.
        """
        self._check(frames)
        batch, _, height, width = frames.shape
        feed = {self._input: np.ascontiguousarray(frames)}
        if damage is not None:
            self._check_damage(damage, (batch, 1, height, width))
            feed[DAMAGE] = np.ascontiguousarray(damage)
        with self._explained(width, height, stop):
            outputs = self._session.run(list(self._outputs), feed, stop.options if stop else None)
        for name, array, depth in zip(self._outputs, outputs, (3, 1), strict=False):
            if array.shape != (batch, depth, height, width) or array.dtype != np.float32:
                raise WetgateError(
                    f"{self._path} gave '{name}' as {array.dtype} {list(array.shape)} for a picture of "
                    f"{width}x{height} pixels; only models that keep the picture's size can be applied."
                )
        return outputs[0], outputs[1] if len(outputs) > 1 else None

    def run_into(
        self,
        frames: Array,
        restored: Array,
        coverage: Array | None,
        stop: Stop | None = None,
        damage: Array | None = None,
    ) -> None:
        """Restore one window into memory of the caller's, without copies on the CPU.

        Args:
            frames: float32 [3*(2r+1), H, W], contiguous; else as for :meth:`run`.
            restored: float32 [3, H, W], contiguous; filled.
            coverage: float32 [H, W], contiguous; filled. None where the model gives none, or where it is not wanted.
            stop: ends the computation from another thread.
            damage: float32 [H, W], contiguous, or None; as for :meth:`run`.

        Raises:
            Stopped: ``stop`` was requested.
            OutOfMemory, WetgateError, ValueError: as :meth:`run`.
        """
        frames = frames[None]
        self._check(frames)
        _, _, height, width = frames.shape
        outputs = [(restored, 3)] if coverage is None else [(restored, 3), (coverage, 1)]
        if not all(array.flags.c_contiguous for array in (frames, *(array for array, _ in outputs))):
            raise ValueError("frames and results must be contiguous")
        if any(array.dtype != np.float32 or array.size != depth * height * width for array, depth in outputs):
            raise ValueError(f"results must be float32 for {width}x{height} pixels")
        if self.card.foreign:  # what it promises of its output's size is nothing to bind memory to
            restored[...] = self.run(frames, stop)[0][0]
            return
        binding = self._session.io_binding()
        binding.bind_input(self._input, "cpu", 0, np.float32, frames.shape, frames.ctypes.data)
        if damage is not None:
            self._check_damage(damage, (height, width))
            if not damage.flags.c_contiguous:
                raise ValueError("the damage mask must be contiguous")
            binding.bind_input(DAMAGE, "cpu", 0, np.float32, [1, 1, height, width], damage.ctypes.data)
        for name, (array, depth) in zip(self._outputs, outputs, strict=False):
            binding.bind_output(name, "cpu", 0, np.float32, [1, depth, height, width], array.ctypes.data)
        with self._explained(width, height, stop):
            self._session.run_with_iobinding(binding, stop.options if stop else None)

    @property
    def gives_coverage(self) -> bool:
        """Whether the model says how like its training pairs a pixel is."""
        return len(self._outputs) > 1

    def _check(self, frames: Array) -> None:
        channels = 3 * (2 * self.card.radius + 1)
        if frames.dtype != np.float32 or frames.ndim != 4 or frames.shape[1] != channels or 0 in frames.shape:
            raise ValueError(f"frames must be float32 [N, {channels}, H, W], not {frames.dtype} {list(frames.shape)}")

    def _check_damage(self, damage: Array, shape: tuple[int, ...]) -> None:
        if not self.takes_damage or damage.dtype != np.float32 or damage.shape != shape:
            raise ValueError(f"a damage mask must be float32 {list(shape)}, for a model that takes one")

    @contextlib.contextmanager
    def _explained(self, width: int, height: int, stop: Stop | None) -> Iterator[None]:
        """Raise what onnxruntime says about a picture of this size as a sentence."""
        try:
            yield
        except Exception as error:  # onnxruntime's exceptions share no base but Exception
            if stop is not None and stop.requested:
                raise Stopped(f"{self._path} was stopped before it was done.") from error
            if isinstance(error, MemoryError) or any(sign in str(error) for sign in _OUT_OF_MEMORY):
                advice = "smaller frames, since it cannot be tiled" if self.card.halo is None else "a smaller --tile"
                raise OutOfMemory(
                    f"{self._path} needs more memory than there is for a picture of {width}x{height} pixels. "
                    f"Use {advice}, or a smaller model."
                ) from error
            raise WetgateError(
                f"{self._path} failed on a picture of {width}x{height} pixels: {_first_line(error)}"
            ) from error


def cuda_is_offered() -> bool:
    """Whether this onnxruntime was built with CUDA; whether that works here, only a session knows."""
    return _PROVIDERS["cuda"] in _offered()


def _load(path: os.PathLike[str], data: bytes, device: str, bounded: bool, part: float) -> ort.InferenceSession | None:
    """Load on ``device``, or return None where that device does not work here."""
    if _PROVIDERS[device] not in _offered():
        return None
    options = ort.SessionOptions()
    options.log_severity_level = _ONLY_FATAL
    options.enable_mem_pattern = False  # planned blocks took 40 % more memory and time than the arena's
    options.enable_mem_reuse = False  # planning it took 20 s for 7400 nodes; the arena reuses memory as well
    providers: list[Any] = [_PROVIDERS["cpu"]]
    if device == "cuda":
        _preload_cuda()
        settings = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"}
        if bounded:
            settings["gpu_mem_limit"] = str(int(_cuda_budget() * part))
        providers.insert(0, (_PROVIDERS["cuda"], settings))
    elif bounded:
        _share_bounded_arena()
        options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        # With its fallback, onnxruntime goes to the CPU by itself, and says so on standard output only.
        session = ort.InferenceSession(data, options, providers=providers, enable_fallback=0)
    except Exception as error:  # as above
        raise WetgateError(f"{path} cannot be loaded by onnxruntime {ort.__version__}: {_first_line(error)}") from error
    return session if session.get_providers()[0] == _PROVIDERS[device] else None


@functools.cache
def _cuda_budget() -> int:
    """Bytes of GPU memory for one session, by what the driver says of the first GPU."""
    device, total = ctypes.c_int(), ctypes.c_size_t()
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
        failed = driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0)
        failed = failed or driver.cuDeviceTotalMem_v2(ctypes.byref(total), device)
    except (OSError, AttributeError):
        failed = True
    return _LEAST_CUDA_BUDGET if failed else max(_LEAST_CUDA_BUDGET, int(CUDA_SHARE * total.value))


@functools.cache
def _preload_cuda() -> None:
    """Find CUDA's libraries in the packages that brought them; what is missing, the session itself will tell."""
    with contextlib.suppress(Exception), contextlib.redirect_stdout(sys.stderr):
        ort.preload_dlls()
    ort.set_default_logger_severity(_ONLY_FATAL)  # cuDNN's second thoughts about a convolution are no errors


@functools.cache
def _share_bounded_arena() -> None:
    """Register the process's CPU arena: allocations beyond ``CPU_BUDGET`` fail instead of growing."""
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    as_requested = 1
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg(CPU_BUDGET, as_requested, -1, -1))


def _offered() -> list[str]:
    return [name for name in ort.get_available_providers() if name in _PROVIDERS.values()]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
