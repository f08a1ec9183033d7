"""What `import evalsuite` gives notebooks and scripts: numbers as pandas frames, curves as plotly figures.

Described in `docs/api.md`. Errors are `EvalError`.
"""

from evalsuite.api.compare import bd_rate
from evalsuite.api.results import Results, load
from evalsuite.api.runs import run
from evalsuite.errors import EvalError
from evalsuite.report.figure import plot_rd
from evalsuite.results.bdrate import BDResult

__all__ = ["BDResult", "EvalError", "Results", "bd_rate", "load", "plot_rd", "run"]
