"""SSIMULACRA 2.1: structure, ringing and blur of a frame in XYB, at six scales.

Sneyers (Cloudinary), 2023; the reference implementation is libjxl's tools/ssimulacra2.cc, whose constants these are.
Its recursive Gaussian is, sample for sample, a sum of three truncated cosines; here they are added up to nine taps once
and applied as a separable filter. The recursion drifts in float32: on large frames it moves the score by some tenths.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from evalsuite.metrics.base import Family, FrameMeter, Setting, View
from evalsuite.types import MetricInfo

Image = NDArray[np.float32]
"""(height, width, 3)."""

_SCALES = 6
_SMALLEST = 8

# lib/jxl/cms/opsin_params.h: absorbance of linear RGB by the cones, and the bias before the cube root.
_ABSORBANCE = np.array(
    [
        [0.30, 0.622, 0.078],
        [0.23, 0.692, 0.078],
        [0.24342268924547819, 0.20476744424496821, 0.5518098665095536],
    ],
    np.float32,
)
_BIAS = 0.0037930732552754493

# SSIM's constant for the contrast term; the luminance term has none here.
_C2 = np.float32(0.0009)

# Weights that are not 0, by place in (component X, Y, B; scale 1:1 to 1:32; 1-norm, 4-norm; SSIM, ringing, blur).
_WEIGHTS: dict[int, float] = {
    1: 0.0007376606707406586, 4: 0.0007793481682867309, 7: 0.0004371155730107379, 9: 1.1041726426657346,
    10: 0.00066284834129271, 11: 0.00015231632783718752, 13: 0.0016406437456599754, 15: 1.8422455520539298,
    16: 11.441172603757666, 18: 0.0007989109436015163, 19: 0.000176816438078653, 21: 1.8787594979546387,
    22: 10.94906990605142, 24: 0.0007289346991508072, 25: 0.9677937080626833, 27: 0.00014003424285435884,
    28: 0.9981766977854967, 29: 0.00031949755934435053, 30: 0.0004550992113792063, 33: 0.0013648766163243398,
    39: 7.466890328078848, 41: 17.445833984131262, 42: 0.0006235601634041466, 45: 6.683678146179332,
    46: 0.00037724407979611296, 47: 1.027889937768264, 48: 225.20515300849274, 51: 19.213238186143016,
    52: 0.0011401524586618361, 53: 0.001237755635509985, 54: 176.39317598450694, 57: 24.43300999870476,
    58: 0.28520802612117757, 59: 0.0004485436923833408, 63: 34.77906344483772, 64: 44.835625328877896,
    73: 0.0008680556573291698, 79: 0.0005313191874358747, 81: 0.00016533814161379112, 87: 0.0004179171803251336,
    88: 0.0017290828234722833, 90: 0.0020827005846636437, 93: 8.826982764996862, 94: 23.19243343998926,
    96: 95.1080498811086, 97: 0.9863978034400682, 98: 0.9834382792465353, 99: 0.0012286405048278493,
    100: 171.2667255897307, 101: 0.9807858872435379, 105: 0.0005130064588990679, 107: 0.00010854057858411537,
}  # fmt: skip

_INFO = MetricInfo(
    name="ssimulacra2",
    family="perceptual",
    unit="",
    higher_is_better=True,
    version="2.1",
    definition="SSIMULACRA 2.1 of RGB frames read as sRGB, per frame; 90 is visually lossless, 70 high, 50 medium "
    "quality",
    source="libjxl tools/ssimulacra2.cc (Sneyers, 2023); own implementation, checked against that tool's scores",
    # Nothing bounds it below: random pairs score -200 and less.
    range=(-math.inf, 100),
    needs=("rgb",),
    traps="Tuned on still pictures coded at medium to high quality; below 30 it tells little apart. Version 2.0 gives "
    "other scores. It has no sense of time.",
)


@functools.cache
def taps(sigma: float = 1.5) -> NDArray[np.float64]:
    """The Gaussian of libjxl as taps of a symmetric filter.

    Charalampidis, "Recursive Implementation of the Gaussian Filter Using Truncated Cosine Functions", IEEE TSP 64(14),
    2016; the numbers in brackets are its equations.
    """
    radius = round(3.2795 * sigma + 0.2546)  # (57)
    omega = np.array([1, 3, 5]) * np.pi / (2 * radius)
    p = np.array([1, -1, 1]) / np.tan(omega / 2)  # (37)
    r = np.array([1, -1, 1]) * p**2 / np.sin(omega)  # (44)
    rho = np.exp(-0.5 * sigma**2 * omega**2) / radius  # (50)
    zeta = np.array([p[1] * r[2] - r[1] * p[2], p[2] * r[0] - r[2] * p[0]]) / (p[0] * r[1] - r[0] * p[1])  # (52)
    system = np.array([p, r, [*zeta, 1]])  # (56)
    beta = np.linalg.solve(system, [1, radius**2 - sigma**2, zeta @ rho[:2] + rho[2]])  # (53), (55)
    # The cosines are cut where they are 0, at the radius itself.
    reach = np.arange(1 - radius, radius)
    weights: NDArray[np.float64] = beta @ np.cos(np.outer(omega, reach))
    return weights


def _blur(image: Image) -> Image:
    kernel = taps().astype(np.float32)
    return np.asarray(cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_CONSTANT), np.float32)


def _linear(rgb: NDArray[np.float32]) -> Image:
    """The light of sRGB in [0, 1], (3, height, width) (IEC 61966-2-1)."""
    image = np.ascontiguousarray(rgb.transpose(1, 2, 0))
    curve = cv2.pow((image + np.float32(0.055)) * np.float32(1 / 1.055), 2.4)
    return np.where(image <= 0.04045, image * np.float32(1 / 12.92), curve)


def _xyb(linear: Image) -> Image:
    """Linear RGB as XYB, each component moved to about [0, 1]."""
    # Nothing is below 0: neither light nor absorbance is, and the bias is above it.
    cones = cv2.pow(cv2.transform(linear, _ABSORBANCE) + np.float32(_BIAS), 1 / 3) - np.float32(_BIAS ** (1 / 3))
    long, middle, short = cv2.split(cones)
    x, y = (long - middle) / 2, (long + middle) / 2
    return np.asarray(
        cv2.merge((x * 14 + np.float32(0.42), y + np.float32(0.01), short - y + np.float32(0.55))), np.float32
    )


def _halve(linear: Image) -> Image:
    """The mean of every two by two samples; the last row and column count twice where they have no neighbour."""
    height, width = linear.shape[:2]
    even = cv2.copyMakeBorder(linear, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    halves: Image = (even[0::2, 0::2] + even[0::2, 1::2] + even[1::2, 0::2] + even[1::2, 1::2]) * np.float32(0.25)
    return halves


@dataclass(frozen=True, slots=True)
class _Scale:
    """What one scale of a frame gives to the comparison."""

    image: Image
    mean: Image
    square: Image
    edge: Image
    """1 + the distance from the local mean."""


def _pyramid(rgb: NDArray[np.float32]) -> list[_Scale]:
    linear = _linear(rgb)
    scales: list[_Scale] = []
    for index in range(_SCALES):
        # As in the reference, what is halved last may itself be smaller than this.
        if min(linear.shape[:2]) < _SMALLEST:
            break
        if index:
            linear = _halve(linear)
        image = _xyb(linear)
        mean = _blur(image)
        scales.append(_Scale(image, mean, _blur(image * image), 1 + np.abs(image - mean)))
    return scales


def _norms(error: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and 4-norm of the three components."""
    power = error * error
    power *= power
    count = error.shape[0] * error.shape[1]
    mean, fourth = np.array(cv2.sumElems(error)[:3]), np.array(cv2.sumElems(power)[:3])
    return mean / count, (fourth / count) ** 0.25


def _errors(source: _Scale, decoded: _Scale) -> NDArray[np.float64]:
    """(3 components, 2 norms, 3 errors) of one scale."""
    means = source.mean * decoded.mean
    luminance = source.mean - decoded.mean
    contrast = 2 * (_blur(source.image * decoded.image) - means) + _C2
    spread = (source.square - source.mean * source.mean) + (decoded.square - decoded.mean * decoded.mean) + _C2
    structure = np.maximum(1 - (1 - luminance * luminance) * contrast / spread, 0)
    edges = decoded.edge / source.edge - 1
    maps = (structure, np.maximum(edges, 0), np.maximum(-edges, 0))
    return np.array([_norms(error) for error in maps]).transpose(2, 1, 0)


def ssimulacra2(source: list[_Scale], decoded: list[_Scale]) -> float:
    """SSIMULACRA 2.1 of one frame pair, given by their pyramids; 100 for identical frames."""
    errors = np.stack([_errors(a, b) for a, b in zip(source, decoded, strict=True)], axis=1).ravel()
    # Where there are fewer scales the weights are taken in order, as the reference takes them.
    weights = np.zeros(3 * _SCALES * 2 * 3)
    weights[list(_WEIGHTS)] = list(_WEIGHTS.values())
    total = 0.9562382616834844 * float(weights[: len(errors)] @ np.abs(errors))
    mapped = 2.326765642916932 * total - 0.020884521182843837 * total**2 + 6.248496625763138e-05 * total**3
    return 100 - 10 * mapped**0.6276336467831387 if mapped > 0 else 100.0


def _score(source: View, decoded: View) -> tuple[float]:
    # A pyramid takes five times the memory of the RGB it is made of: only that of this source is kept.
    of_source = source.derive("ssimulacra2", lambda: _pyramid(source.rgb()))
    if source.previous is not None:
        source.previous.forget("ssimulacra2")
    return (ssimulacra2(of_source, _pyramid(decoded.rgb())),)


def _open(_setting: Setting, names: tuple[str, ...]) -> FrameMeter:
    return FrameMeter(names, _score)


FAMILY = Family(infos=(_INFO,), open=_open, smallest={"ssimulacra2": _SMALLEST}, check=str)
