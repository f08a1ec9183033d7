"""Strategic masking: tokens that the context model is sure of are not sent.

Encoder and decoder follow the likeliest code of each dimension in turn, which depends only on what both have, and leave
out the tokens for which the product of these probabilities exceeds a threshold. Nothing is sent to say which. (TVC,
arXiv 2504.16953, masks by a rule that is not public; this one is ours, after the confidence ordering of MaskGIT, Chang
et al., CVPR 2022.)
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tvc.context import DiscreteContext
from tvc.tables import TOTAL


def guess(context: DiscreteContext, half: int, features: Tensor, threshold: int) -> tuple[Tensor, Tensor]:
    """The likeliest tokens, and which of them are sure.

    Args:
        context: the model both sides have.
        half: of the checkerboard.
        features: (N, width) activations at the N tokens of the half.
        threshold: of the product of probabilities, in units of 2**-16.

    Returns:
        Whether each token is masked (N,) bool, and the guessed codes (N, D) int64, whole where it is.
    """
    codes = torch.zeros(len(features), len(context.levels), dtype=torch.int64)
    product = np.full(len(features), TOTAL, np.int64)
    sure = np.arange(len(features))
    for d in range(len(context.levels)):
        counts = context.frequencies(half, d, features[sure], codes[sure])
        likeliest = counts.argmax(axis=1)
        # Whole numbers rounded down at each step: a float product would depend on the machine.
        product[sure] = product[sure] * counts[np.arange(len(counts)), likeliest] // TOTAL
        codes[sure, d] = torch.from_numpy(likeliest)
        # A product only falls: what is below the threshold stays there.
        sure = sure[product[sure] > threshold]
    return torch.from_numpy(product > threshold), codes
