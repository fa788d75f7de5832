"""How sharp a reference truly is, whatever the size of its file: from the spectra of pictures laid on one another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wetgate.pairing.resampling import shrink

Array = NDArray[np.float32]
Matrix = NDArray[np.float64]

_TILE = 64
_TILES = 150
_FLARE = 0.03
_LEAST_SIGMA, _MOST_SIGMA = 0.3, 12.0
_COARSE = 4
"""Sigma, in pixels, beyond which the pictures are looked at again at half the size."""
_SHARPEST_RING, _BROADEST_RING = 0.45, 0.015
"""Cycles a pixel: above, little but resampling is left; below, the window of a tile."""
_LEAST_GAIN = 0.12


def resolution(scan: Array, reference: Array, weight: Array) -> float:
    """Sigma, in scan pixels, of the low-pass under which the reference holds what the scan shows.

    The cross spectrum of scan and reference falls, against the scan's own, by the reference's transfer function;
    a Gaussian is fitted to it where both say something. The cross spectrum is blind to grain and to video noise
    (Bendat & Piersol, "Random Data", 6.1); grain in the scan's own spectrum is told by the flattest tiles.

    Args:
        scan: display values [H, W, 3].
        reference: the same, laid over the scan.
        weight: [H, W] 0-1, where the two show the same.

    Returns:
        0.3 where no loss can be told, to 12 pixels.
    """
    mean = np.full(3, 1 / 3, np.float32)
    pictures = [np.log(np.maximum(p @ mean, 0) + np.float32(_FLARE)) for p in (scan, reference)]
    step = 1
    while True:
        sigma = _fitted(pictures[0], pictures[1], weight)
        if sigma < _COARSE or min(weight.shape) < 4 * _TILE:
            return float(np.clip(sigma * step, _LEAST_SIGMA, _MOST_SIGMA))
        step *= 2
        *pictures, weight = (shrink(p, max(p.shape) // 2) for p in (*pictures, weight))


def _fitted(scan: Array, reference: Array, weight: Array) -> float:
    """In pixels of the pictures given."""
    first, second = _tiles(scan, weight), _tiles(reference, weight)
    if not len(first):
        return _LEAST_SIGMA
    window = np.hanning(_TILE + 2)[1:-1]
    window = np.outer(window, window).astype(np.float32)
    spectra = [np.fft.rfft2((t - t.mean((1, 2), keepdims=True)) * window) for t in (first, second)]
    rings, centres = _rings()
    scans, crosses, references = (
        _by_ring(values, rings, len(centres))
        for values in (
            np.abs(spectra[0]) ** 2,
            (spectra[0].conj() * spectra[1]).real,
            np.abs(spectra[1]) ** 2,
        )
    )
    low = (centres > _BROADEST_RING) & (centres < 0.08)
    agreement = crosses[:, low].sum(1) / np.sqrt(scans[:, low].sum(1) * references[:, low].sum(1) + 1e-12)
    energy = references[:, low].sum(1)
    good = (np.abs(agreement) > 0.7) & (energy >= np.median(energy))
    flat = energy <= np.quantile(energy, 0.1)
    if good.sum() < 4:
        return _LEAST_SIGMA
    # a tile counts by what it shows, not by its contrast
    scale = 1 / (scans[:, low].sum(1) + 1e-12)
    gain = crosses[:, low].sum(1) * scale
    signs = np.sign(gain)
    grain = np.minimum.reduce([np.median(scans[flat], 0), 0.9 * np.median(scans[good], 0)])
    scale = scale[good, None]
    own = ((scans[good] - grain) * scale).mean(0)
    both = (crosses[good] * scale * (signs / np.maximum(np.abs(gain), 1e-9))[good, None]).mean(0)
    transfer = both / np.maximum(own, 1e-12)
    noisy = own < 0.25 * (scans[good] * scale).mean(0)
    ring = (centres > 0.03) & (centres < _SHARPEST_RING)
    stops = np.nonzero(ring & ((transfer < _LEAST_GAIN) | noisy))[0]
    ring[stops[0] + 1 if len(stops) else len(ring) :] = False
    if ring.sum() < 2:
        return _MOST_SIGMA
    return _gaussian(centres[ring], np.maximum(transfer[ring], 0.5 * _LEAST_GAIN), np.maximum(own[ring], 0))


def _gaussian(frequencies: Matrix, transfer: Matrix, energy: Matrix) -> float:
    """Sigma of ``exp(-2 pi^2 sigma^2 f^2)`` and a gain that come nearest to a transfer function."""
    weight = energy * frequencies  # as many pixels of the spectrum lie at a frequency
    candidates = np.geomspace(_LEAST_SIGMA, _MOST_SIGMA, 120)
    shapes = np.exp(-2 * (np.pi * candidates[:, None] * frequencies) ** 2)
    gains = (weight * shapes * transfer).sum(1) / (weight * shapes**2).sum(1)
    return float(candidates[np.argmin((weight * (gains[:, None] * shapes - transfer) ** 2).sum(1))])


def _tiles(picture: Array, weight: Array) -> Array:
    """[n, T, T] of those places where most of the picture counts."""
    step = max(_TILE // 2, int(np.sqrt(picture.size / _TILES)))
    places = [
        np.s_[y : y + _TILE, x : x + _TILE]
        for y in range(0, picture.shape[0] - _TILE + 1, step)
        for x in range(0, picture.shape[1] - _TILE + 1, step)
    ]
    counted = [picture[place] for place in places if weight[place].mean() > 0.9]
    return np.stack(counted) if counted else np.zeros((0, _TILE, _TILE), np.float32)


def _rings() -> tuple[NDArray[np.int64], Matrix]:
    y, x = np.fft.fftfreq(_TILE)[:, None], np.fft.rfftfreq(_TILE)[None]
    distance = np.hypot(x, y)
    edges = np.arange(0.5, _TILE / 2, 1) / _TILE
    rings = np.digitize(distance, edges)
    return rings, np.arange(len(edges) + 1) / _TILE


def _by_ring(values: Matrix, rings: NDArray[np.int64], count: int) -> Matrix:
    flat = values.reshape(len(values), -1)
    members = np.zeros((rings.size, count))
    members[np.arange(rings.size), rings.ravel()] = 1
    return np.asarray(flat @ (members / np.maximum(members.sum(0), 1)))
