"""Notes on a gate: facts that a reader should know, but that do not change the outcome."""

from collections.abc import Sequence

from ablate.formatting import format_list
from ablate.report.evidence import Evidence


def list_notes(
    first: Evidence, second: Evidence, shared: Sequence[str], *, has_throughput: bool
) -> list[str]:
    """List sentences about the two folders."""
    told = []
    if only_second := [arm for arm in second.arms if arm not in first.arms]:
        told.append(f"Only B has {format_list(only_second)}. An arm that only B has is not checked.")
    for arm in shared:
        was, now = (_read_setting(evidence, arm) for evidence in (first, second))
        if was and now and was != now:
            told.append(
                f"{arm} trained with other tuned values: {was} in A and {now} in B. The difference between A "
                "and B includes the effect of this choice, which is the same in every seed."
            )
    if first.provenance.machine.device != second.provenance.machine.device:
        devices = [evidence.provenance.machine.device for evidence in (first, second)]
        told.append(f"A was trained on {devices[0]} and B on {devices[1]}. Devices round differently.")
    if has_throughput:
        told.append(
            "Throughput is compared relative to the baseline, because a machine's speed differs from day to "
            "day. A change that slows all arms alike is therefore not seen here."
        )
    return told


def _read_setting(evidence: Evidence, arm: str) -> str:
    """Read the tuned values with which an arm's confirmed runs trained.

    The text is empty if nothing was tuned.
    """
    settings = evidence.confirmed.loc[evidence.confirmed["arm"] == arm, "setting"].dropna()
    return "" if settings.empty else str(settings.iloc[0])
