"""Which engine a run gets: worker processes of this machine, or a cluster."""

from __future__ import annotations

from collections.abc import Iterable

from evalsuite import provenance
from evalsuite.engine.execute import Pool
from evalsuite.engine.lanes import Job
from evalsuite.engine.local import LocalPool
from evalsuite.engine.plan import Plan
from evalsuite.errors import RequestError
from evalsuite.sources.manifest import SequenceEntry
from evalsuite.sources.pinning import portable

_MEMORY_SHARE = 0.9
"""Of the memory that is free: estimates are estimates, and the rest of the machine lives too."""


def open_pool(
    plan: Plan,
    *,
    jobs: int | None,
    cluster: str | None,
    memory_limit: int | None,
    entries: Iterable[SequenceEntry],
) -> Pool[Job]:
    """The engine that was asked for.

    Args:
        plan: the checked request.
        jobs: tasks at a time on this machine; None for as many as its cores and its memory are good for.
        cluster: address or scheduler file of a Dask cluster; None for this machine.
        memory_limit: bytes for each program and all that it starts; None for no limit.
        entries: of the datasets that the sequences are from.

    Raises:
        RequestError: the cluster cannot be used, or lacks what a codec needs.
    """
    if cluster is None:
        if jobs is not None or plan.timing:
            return LocalPool(jobs or 1, memory_limit)
        cores = provenance.usable_cores()
        return LocalPool(
            cores, memory_limit, cores=cores, memory_bytes=round(_MEMORY_SHARE * provenance.free_memory_bytes())
        )
    if jobs is not None or plan.timing:
        raise RequestError(
            "--timing and --jobs are of one machine",
            expected="--cluster without them",
            fix="the cluster's workers say how many threads they have: `dask worker --nthreads N`",
        )
    from evalsuite.engine.cluster import ClusterPool

    pool: ClusterPool[Job] = ClusterPool(cluster, _by_content(plan, entries), memory_limit)
    wanting = [recipe.name for recipe in plan.recipes if recipe.needs_gpu]
    if wanting and pool.lacks_gpu():
        pool.close()
        raise RequestError(
            "no worker of the cluster has a GPU",
            where=cluster,
            expected=f"one for {', '.join(wanting)}",
            fix='start workers on machines that have one with `dask worker --resources "GPU=1"`',
        )
    return pool


def _by_content(plan: Plan, entries: Iterable[SequenceEntry]) -> dict[str, SequenceEntry]:
    """By the sha256 of the sequences of the run, where each machine can get it from."""
    known = {(entry.dataset, entry.name): entry for entry in entries}
    return {
        # As it is pinned here: no machine but this one writes to lock files.
        sequence.sha256: portable(known[sequence.dataset, sequence.name])
        for sequence in plan.sequences
        if (sequence.dataset, sequence.name) in known
    }
