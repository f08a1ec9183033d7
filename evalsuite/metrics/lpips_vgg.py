"""LPIPS version 0.1 with the VGG16 backbone: the one that many papers on learned codecs report.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018.
"""

from __future__ import annotations

from evalsuite.metrics.lpips import describe, family

FAMILY = family(describe("lpips_vgg", "vgg", "VGG16"), "vgg", keeps=False)
