"""`pytest --evalsuite-gate gate.toml`: each rule of a gate is a test of the codec's own suite.

Loaded by pytest wherever evalsuite is installed; without the option it does nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from evalsuite.results.gate.gate import GateResult
    from evalsuite.results.gate.judge import Judgement
    from evalsuite.results.gate.rules import Gate, Rule


class _Failed(Exception):  # noqa: N818 - what a test fails by, not a fault
    """A rule that did not pass, with its explanation."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The plugin's options."""
    group = parser.getgroup("evalsuite", "gate the quality of a codec")
    group.addoption("--evalsuite-gate", metavar="FILE", help="gate whose rules are tests: a TOML file, or a name")
    group.addoption("--evalsuite-baseline", metavar="RUN", help="run, store or published results to compare with")
    group.addoption("--evalsuite-candidate", metavar="RUN", help="what is judged; without it the gate's own `run`")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add a test for each rule, behind the suite's own."""
    name = config.getoption("--evalsuite-gate")
    if not name:
        return
    from evalsuite.errors import EvalError
    from evalsuite.results.gate.rules import load_gate

    try:
        comparison = _Comparison(load_gate(name), config)
    except EvalError as error:
        raise pytest.UsageError(str(error)) from error
    items += [
        GateItem.from_parent(session, name=rule.name, comparison=comparison, rule=rule) for rule in comparison.rules
    ]


class _Comparison:
    """Two runs, compared when the first rule is tested."""

    def __init__(self, gate: Gate, config: pytest.Config) -> None:
        self.gate = gate
        self.rules = gate.rules
        self._baseline = config.getoption("--evalsuite-baseline") or self._beside(gate.baseline)
        self._candidate = config.getoption("--evalsuite-candidate") or self._beside(gate.candidate)
        self._result: GateResult | Exception | None = None

    def _beside(self, named: str) -> str:
        return str(self.gate.path.parent / named) if named else ""

    def judgements(self, rule: Rule) -> Iterator[tuple[GateResult, Judgement, int]]:
        """What the rule comes to, for each codec, with its place in the result."""
        if self._result is None:
            try:
                self._result = self._compare()
            except Exception as error:  # every rule of the gate fails by it
                self._result = error
        if isinstance(self._result, Exception):
            raise self._result
        for place, judgement in enumerate(self._result.judgements):
            if judgement.rule is rule:
                yield self._result, judgement, place

    def _compare(self) -> GateResult:
        from evalsuite.errors import RequestError
        from evalsuite.results.gate.gate import run_gate
        from evalsuite.results.history import open_run

        if not self._baseline:
            raise RequestError("there is no baseline", fix="give --evalsuite-baseline, or `baseline` in the gate")
        baseline = open_run(self._baseline)
        if self._candidate:
            return run_gate(self.gate, baseline, open_run(self._candidate))
        if not self.gate.run:
            raise RequestError(
                "there is no candidate", fix="give --evalsuite-candidate, or `candidate` or `run` in the gate"
            )
        with tempfile.TemporaryDirectory() as folder:
            self._make(folder)
            return run_gate(self.gate, baseline, open_run(folder))

    def _make(self, folder: str) -> None:
        from evalsuite.errors import ProcessError

        command = [sys.executable, "-m", "evalsuite", "run", *self.gate.run, "--out", folder]
        done = subprocess.run(command, cwd=self.gate.path.parent, capture_output=True, text=True)
        # 3: some cells failed, which a rule may be about.
        if done.returncode not in (0, 3):
            raise ProcessError(
                f"the candidate could not be made: exit code {done.returncode}",
                command=command,
                stderr_tail=done.stderr[-2000:],
                got=done.stderr.strip().splitlines()[-1:] or None,
            )


class GateItem(pytest.Item):
    """One rule as a test."""

    def __init__(self, *, comparison: _Comparison, rule: Rule, **parent: Any) -> None:
        super().__init__(**parent)
        self._comparison = comparison
        self._rule = rule

    def runtest(self) -> None:
        """Judge the rule."""
        from evalsuite.results.gate.explain import sentences
        from evalsuite.results.gate.write import interval, limit, number, reason

        lines: list[str] = []
        judged = list(self._comparison.judgements(self._rule))
        for result, one, place in judged:
            said = f"{number(one.value, one.unit)} ({interval(one)}), {limit(one.rule, one.unit)}: {reason(one)}"
            self.add_report_section("call", "evalsuite", f"{one.codec}: {one.verdict}, {said}")
            if one.verdict == "fail" or (one.verdict == "undecided" and not self._comparison.gate.may_pass_undecided):
                lines.append(f"{one.codec}: {one.verdict}, {said}")
                for each in result.explanations[place]:
                    lines += [f"  {each.sequence}: {number(each.value, one.unit)}"]
                    lines += [f"    {sentence}" for sentence in sentences(each)]
        if lines:
            raise _Failed("\n".join(lines))
        if all(one.verdict != "pass" for _, one, _ in judged):
            pytest.skip("; ".join(reason(one) for _, one, _ in judged))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The rule's own words, instead of a traceback of ours."""
        from evalsuite.errors import EvalError

        if isinstance(excinfo.value, (_Failed, EvalError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the test stands: in the file of rules."""
        return self._comparison.gate.path, None, f"gate: {self.name}"
