"""Strategic masking: tokens that the context model is sure of are not sent, unless the encoder says otherwise.

Encoder and decoder follow the likeliest code of each dimension in turn, which depends only on what both have; the
tokens for which the product of these probabilities exceeds a threshold are *sure*. Of these a flag says which are sent
all the same, because the guess is too far off: *corrections*. (TVC, arXiv 2504.16953, masks by a rule that is not
public; this one is ours, after the confidence ordering of MaskGIT, Chang et al., CVPR 2022.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tvc.context import DiscreteContext
from tvc.entropy import Coder
from tvc.tables import TOTAL, Ints, root

Bools = NDArray[np.bool_]

_EDGES = np.array([root(2, 2 * (TOTAL.bit_length() - 1) - half) for half in range(1, 8)])
"""Probabilities half an octave apart, in units of 2**-16: a guess is less sure by each that it does not exceed."""
_CORRECTED = np.array(
    [
        [3, 24, 44],
        [27, 98, 150],
        [53, 146, 180],
        [79, 208, 256],
        [114, 272, 312],
        [152, 304, 376],
        [184, 352, 424],
        [340, 500, 512],
    ]
)
"""Chance that a sure token is corrected, in 1024ths: by how sure it is, and by how many corrections there are beside it
and at its place in the slot before, two at most. As the training material has it."""
_PARTS = 1024
_FLAG_BITS = 2
"""What the encoder reckons that a correction costs beside its token."""


class Guess(NamedTuple):
    """What both sides make of N tokens.

    Attributes:
        sure: (N,) bool, their probability is above the threshold.
        codes: (N, D) int64, the likeliest, whole where it is.
        probability: (N,), in units of 2**-16, of what of the guess was followed.
    """

    sure: Tensor
    codes: Tensor
    probability: Ints


def guess(context: DiscreteContext, half: int, features: Tensor, threshold: int) -> Guess:
    """The likeliest tokens, and which of them are sure.

    Args:
        context: the model both sides have.
        half: of the checkerboard.
        features: (N, width) activations at the N tokens of the half.
        threshold: of the product of probabilities, in units of 2**-16.
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
    return Guess(torch.from_numpy(product > threshold), codes, product)


def code_flags(
    coder: Coder, squares: Bools, guessed: Guess, corrected: Bools, before: Bools, wanted: Bools | None
) -> Bools:
    """Code which of the sure tokens of one half are corrected.

    Args:
        coder: writes or reads it.
        squares: (h, w), those of the half.
        guessed: their tokens.
        corrected: (h, w), where this slot has corrections so far.
        before: (h, w), where the slot before had.
        wanted: (sure tokens,), which of them to correct; None to read.

    Returns:
        Where this slot has corrections now, (h, w).
    """
    of_half = guessed.sure.numpy()
    sure = np.zeros_like(squares)
    sure[squares] = of_half
    framed = np.pad(corrected, 1).astype(np.int64)
    hints = framed[:-2, 1:-1] + framed[2:, 1:-1] + framed[1:-1, :-2] + framed[1:-1, 2:] + before
    unsure = (guessed.probability[of_half, None] <= _EDGES).sum(axis=1)
    chances = _CORRECTED[unsure, np.minimum(hints[sure], _CORRECTED.shape[1] - 1)] * (TOTAL // _PARTS)
    symbols = None if wanted is None else wanted.astype(np.int64)
    flags = coder.code(np.stack((TOTAL - chances, chances), axis=1), symbols)
    after = corrected.copy()
    after[sure] = flags.astype(np.bool_)
    return after


def worth_sending(places: Tensor, guesses: Tensor, codes: Tensor, bits: NDArray[np.float64], price: float) -> Bools:
    """Which sure tokens the encoder corrects: where the guess is farther off than the bits are worth.

    Args:
        places: (N, D), codes before rounding.
        guesses: (N, D), what both sides have where nothing is sent.
        codes: (N, D), what would be sent.
        bits: (N,), what that would cost, without the flag.
        price: squared distance that a bit is worth.
    """
    left, sent = ((places - one).square().sum(dim=1).double().numpy() for one in (guesses, codes))
    worth: Bools = left - sent > price * (bits + _FLAG_BITS)
    return worth
