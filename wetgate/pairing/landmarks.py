"""A first guess of how two pictures lie on one another, from landmarks that both show."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wetgate.pairing.blind import fade_blind
from wetgate.pairing.resampling import mirroring, scaling, shrink

Array = NDArray[np.float32]
Matrix = NDArray[np.float64]

_SIDE = 640
_MOST = 2000
_RATIO = 0.85
_REACH_PX = 2.0
_LEAST = 10
ENOUGH = 30
"""From this many landmarks on, a guess needs no second opinion."""
_STEEPEST = np.radians(20)


@dataclass(frozen=True)
class Guess:
    """``transform`` takes scan pixels to reference pixels; ``support`` counts the landmarks that agree with it."""

    transform: Matrix
    mirrored: bool
    support: int


def guess_by_landmarks(scan: Array, reference: Array) -> list[Guess]:
    """Affine guesses, best supported first; none where the pictures share too few landmarks.

    SIFT landmarks (Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 2004), upright, on
    fade-blind pictures; of the matches that pass Lowe's ratio test an affine transform by RANSAC (Fischler &
    Bolles, "Random sample consensus", CACM 1981). A negative is matched by turning its gradients round; a mirrored
    reference is only looked for when the plain one does not match.
    """
    ours = _landmarks(scan)
    guesses = []
    for mirrored in (False, True):
        theirs = _landmarks(np.ascontiguousarray(reference[:, ::-1]) if mirrored else reference)
        for inverted in (False, True):
            found = _agree(ours, theirs, inverted)
            if found is None or not plausible(found[0], scan.shape, reference.shape):
                continue
            transform = mirroring(reference.shape[1]) @ found[0] if mirrored else found[0]
            guesses.append(Guess(transform, mirrored, found[1]))
            if found[1] >= ENOUGH:
                return guesses[-1:]
    return sorted(guesses, key=lambda guess: -guess.support)


def plausible(transform: Matrix, scan: tuple[int, ...], reference: tuple[int, ...]) -> bool:
    """Whether a scan and its reference can lie so: upright, the aspect changed by less than 2, a tenth in common."""
    (a, b), (c, d) = transform[:2, :2] / np.array([[reference[1] / scan[1]], [reference[0] / scan[0]]])
    across, down = np.hypot(a, c), np.hypot(b, d)
    if a <= 0 or d <= 0 or max(across / down, down / across) > 2 or not 0.1 < across * down < 10:
        return False
    square = transform[:2, :2]
    lean = max(abs(np.arctan2(square[1, 0], square[0, 0])), abs(np.arctan2(square[0, 1], square[1, 1])))
    return bool(lean < _STEEPEST)


def _landmarks(pixels: Array) -> tuple[Matrix, Array]:
    small = shrink(pixels, _SIDE)
    grey = np.clip(128 + 40 * fade_blind(small), 0, 255).astype(np.uint8)
    sift = cv2.SIFT.create(_MOST, contrastThreshold=0.02)
    points = sift.detect(grey, None)
    for point in points:
        point.angle = 0
    points, descriptors = sift.compute(grey, points)
    if descriptors is None:
        return np.zeros((0, 2)), np.zeros((0, 128), np.float32)
    back = scaling(small.shape, pixels.shape)
    places = np.array([point.pt for point in points], np.float64) * back.diagonal()[:2] + back[:2, 2]
    return places, descriptors


def _agree(ours: tuple[Matrix, Array], theirs: tuple[Matrix, Array], inverted: bool) -> tuple[Matrix, int] | None:
    """The affine transform that most matches agree on, and how many do."""
    if min(len(ours[0]), len(theirs[0])) < _LEAST:
        return None
    wanted = ours[1]
    if inverted:
        wanted = np.ascontiguousarray(np.roll(wanted.reshape(-1, 16, 8), 4, axis=2).reshape(-1, 128))
    matches = cv2.BFMatcher(cv2.NORM_L2).knnMatch(wanted, theirs[1], 2)
    good = [first for first, second in matches if first.distance < _RATIO * second.distance]
    if len(good) < _LEAST:
        return None
    source = ours[0][[match.queryIdx for match in good]]
    target = theirs[0][[match.trainIdx for match in good]]
    reach = _REACH_PX * max(1.0, np.ptp(target) / _SIDE)
    transform, inliers = cv2.estimateAffine2D(
        source, target, method=cv2.RANSAC, ransacReprojThreshold=reach, maxIters=3000, confidence=0.999
    )
    if transform is None or inliers.sum() < _LEAST:
        return None
    return np.vstack([transform, [0, 0, 1]]), int(inliers.sum())
