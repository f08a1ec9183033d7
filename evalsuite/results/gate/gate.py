"""A whole gate: two runs and a file of rules, to one verdict with all that it rests on."""

from __future__ import annotations

from dataclasses import dataclass

from evalsuite.results.gate.explain import Explanation, explain
from evalsuite.results.gate.judge import Judgement, Verdict, judge, overall
from evalsuite.results.gate.matching import Matched, match_runs
from evalsuite.results.gate.rules import Gate
from evalsuite.results.load import RunResults


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a gate found."""

    gate: Gate
    baseline: RunResults
    candidate: RunResults
    matches: tuple[Matched, ...]
    judgements: tuple[Judgement, ...]
    explanations: tuple[tuple[Explanation, ...], ...]
    """For each judgement; empty where it passed."""

    @property
    def verdict(self) -> Verdict:
        """Of the whole gate."""
        return overall(self.judgements)

    @property
    def missing(self) -> tuple[str, ...]:
        """What one side lacks, by codec where there are several."""
        several = len(self.matches) > 1
        return tuple(f"{match.codec}: {line}" if several else line for match in self.matches for line in match.missing)

    def title(self, judgement: Judgement) -> str:
        """The rule's name, with the codec's where there are several."""
        return f"{judgement.rule.name} ({judgement.codec})" if len(self.matches) > 1 else judgement.rule.name


def run_gate(gate: Gate, baseline: RunResults, candidate: RunResults) -> GateResult:
    """Judge a candidate against a baseline.

    Raises:
        RequestError: they have no codec, or no sequence of one, in common.
        StoreError: per-frame scores are missing or damaged.
    """
    matches = match_runs(baseline, candidate, gate)
    judgements = judge(gate.rules, matches)
    by_codec = {match.codec: match for match in matches}
    explanations = tuple(
        explain(one, by_codec[one.codec], baseline, candidate) if one.verdict in ("fail", "undecided") else ()
        for one in judgements
    )
    return GateResult(gate, baseline, candidate, matches, judgements, explanations)
