"""Which sequences a codec takes, and what to name instead where it does not."""

from __future__ import annotations

from evalsuite import resources
from evalsuite.codec.plugin import BUILT_IN
from evalsuite.codec.recipe import Recipe
from evalsuite.codec.variants import SEPARATOR, declared, split_name
from evalsuite.errors import EvalError, RequestError
from evalsuite.sources.colour import is_convertible
from evalsuite.sources.tags import MATRICES
from evalsuite.types import Sequence


def check_format(recipe: Recipe, sequence: Sequence) -> None:
    """Refuse a sequence of a pixel format or a matrix that the codec does not take.

    Raises:
        RequestError: with those it takes, and the variants that take this one.
    """
    wanted = sequence.format.pixel_format
    if wanted not in recipe.formats:
        takers = " or ".join(_variants_taking(recipe, wanted))
        raise RequestError(
            f"the codec {recipe.name} does not take this pixel format",
            where=sequence.name,
            expected=" or ".join(recipe.formats),
            got=wanted,
            fix=f"name {takers}" if takers else "convert the sequence first, and say so where you publish",
        )
    if recipe.python in BUILT_IN and not is_convertible(sequence.colour):
        raise RequestError(
            f"the codec {recipe.name} works in RGB, and there is no conversion from this matrix",
            where=sequence.name,
            expected=" or ".join(MATRICES),
            got=sequence.colour.matrix,
            fix="convert the sequence first, and say so where you publish",
        )


def _variants_taking(recipe: Recipe, pixel_format: str) -> list[str]:
    """Names of the variants in the recipe's file that state this pixel format."""
    try:
        variants = declared(resources.load("codecs", str(recipe.path))[1], recipe.path)
    except EvalError:
        # A class with a recipe of its own has no file.
        return []
    name, _ = split_name(recipe.name)
    return [f"{name}{SEPARATOR}{key}" for key, own in variants.items() if pixel_format in own.get("formats", ())]
