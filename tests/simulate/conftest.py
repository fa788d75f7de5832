import numpy as np
import pytest


@pytest.fixture
def picture() -> np.ndarray:
    """[90,160,3] display values 0-1: soft colours, black, white and saturated primaries."""
    y, x = np.mgrid[0:90, 0:160].astype(np.float32)
    waves = [0.5 + 0.45 * np.sin(x / (9 + 5 * k) + k) * np.cos(y / (13 - 2 * k)) for k in range(3)]
    pixels = np.stack(waves, axis=2).astype(np.float32)
    for place, colour in enumerate([(0, 0, 0), (1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)]):
        pixels[10 + 12 * place : 20 + 12 * place, 10:30] = colour
    return np.clip(pixels, 0, 1)


@pytest.fixture
def grey() -> np.ndarray:
    """[240,320,3] even mid-grey."""
    return np.full((240, 320, 3), 0.45, np.float32)
