"""evalsuite: perceptual quality evaluation and benchmarking of video codecs at matched bitrates.

`run`, `load`, `bd_rate` and `plot_rd` are for notebooks and scripts: `docs/api.md`. They are imported when they are
first asked for, so that `import evalsuite` is instant.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = ["BDResult", "EvalError", "Results", "__version__", "bd_rate", "load", "plot_rd", "run"]

if TYPE_CHECKING:
    from evalsuite.api import BDResult, EvalError, Results, bd_rate, load, plot_rd, run
else:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from evalsuite import api

        return getattr(api, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
