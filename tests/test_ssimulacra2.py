"""SSIMULACRA 2.1 against scores of libjxl's own tool, and its blur against the recursion that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from evalsuite.metrics.ssimulacra2 import _pyramid, ssimulacra2, taps

Picture = NDArray[np.float32]


def uniform(side: int, level: int) -> Picture:
    return np.full((3, side, side), level / 255, np.float32)


def gradient(side: int) -> Picture:
    return np.tile((np.arange(side) * 255 // (side - 1)).astype(np.float32) / 255, (3, side, 1))


def noise(side: int, state: int) -> Picture:
    """The linear congruential generator that the published pictures were made with."""
    levels = np.empty(side * side * 3, np.float32)
    for index in range(levels.size):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        levels[index] = state >> 33 & 255
    return np.ascontiguousarray(levels.reshape(side, side, 3).transpose(2, 0, 1)) / 255


def score(source: Picture, decoded: Picture) -> float:
    return ssimulacra2(_pyramid(source), _pyramid(decoded))


# Scores of libjxl's ssimulacra2 of made-up pictures, as a Rust implementation (imazen/ssimulacra2, 2026) publishes
# them; that one allows itself 1.5. Between flat pictures libjxl's rounding errors are a part of the score.
@pytest.mark.parametrize(
    ("source", "decoded", "expected", "tolerance"),
    [
        (gradient(64), uniform(64, 128), -64.56872148, 0.005),
        (noise(64, 42), uniform(64, 128), -47.33572558, 0.005),
        (uniform(64, 128), uniform(64, 178), -8.75942256, 0.1),
        (uniform(128, 128), uniform(128, 178), -9.82383315, 0.1),
        (uniform(128, 128), uniform(128, 148), 54.27883917, 0.1),
        (uniform(64, 128), uniform(64, 133), 91.52357693, 0.1),
    ],
)
def test_golden_scores_of_libjxl(source: Picture, decoded: Picture, expected: float, tolerance: float) -> None:
    assert score(source, decoded) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("side", [8, 15, 16, 33, 64])
def test_identical_pictures_score_100(side: int) -> None:
    assert score(noise(side, 1), noise(side, 1)) == 100


def test_the_taps_are_what_the_recursion_does_to_an_impulse() -> None:
    # Charalampidis 2016, equations (33) to (57), for a standard deviation of 1.5.
    sigma, radius = 1.5, 5
    omega = np.array([1, 3, 5]) * np.pi / (2 * radius)
    p = np.array([1, -1, 1]) / np.tan(omega / 2)
    r = np.array([1, -1, 1]) * p**2 / np.sin(omega)
    rho = np.exp(-(sigma**2) * omega**2 / 2) / radius
    d13, d35, d51 = (p[i] * r[j] - r[i] * p[j] for i, j in ((0, 1), (1, 2), (2, 0)))
    zeta = d35 / d13, d51 / d13
    beta = np.linalg.inv([p, r, [*zeta, 1]]) @ [1, radius**2 - sigma**2, zeta[0] * rho[0] + zeta[1] * rho[1] + rho[2]]
    gain, feedback = -beta * np.cos(omega * (radius + 1)), 2 * np.cos(omega)
    signal = np.zeros(41)
    signal[20] = 1
    response = np.zeros(41)
    for k in range(3):
        last, before = 0.0, 0.0
        for n in range(radius + 1, 41 - radius):
            now = gain[k] * (signal[n - radius - 1] + signal[n + radius - 1]) + feedback[k] * last - before
            last, before = now, last
            response[n] += now
    np.testing.assert_allclose(response[16:25], taps(), atol=1e-12)
    np.testing.assert_allclose(np.delete(response, range(16, 25)), 0, atol=1e-12)
