"""Random numbers that depend on a seed, a purpose and a frame number, never on the order of calls."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray


def generator(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """A generator for one purpose (say ``"grain"``) and one place in it (say a frame number)."""
    return np.random.default_rng([number % 2**32 for number in (seed, zlib.crc32(purpose.encode()), *numbers)])


def smooth_noise(
    seed: int, purpose: str, time: float, channels: int, longest: float, shortest: float
) -> NDArray[np.float64]:
    """Zero-mean, unit-variance noise that is smooth in time, as ``channels`` independent values.

    A sum of sines with random phases, periods spread between ``longest`` and ``shortest`` (in frames)
    and amplitudes that fall with the square root of the frequency.
    """
    waves = 24
    random = generator(seed, purpose)
    frequencies = np.exp(random.uniform(np.log(1 / longest), np.log(1 / shortest), (waves, channels)))
    phases = random.uniform(0, 2 * np.pi, (waves, channels))
    amplitudes = frequencies**-0.5
    amplitudes *= np.sqrt(2 / (amplitudes**2).sum(axis=0))
    return np.asarray((amplitudes * np.sin(2 * np.pi * frequencies * time + phases)).sum(axis=0))
