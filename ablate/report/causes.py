"""Sentences that say why runs failed, diverged or could not be trained together with other runs."""

from collections.abc import Mapping

from ablate.formatting import format_count

MOST_CAUSES = 10
"""The maximum number of causes that are listed. One more line counts the causes that are left out."""


def list_causes(causes: Mapping[str, str]) -> list[str]:
    """List each different cause once, with the number of its runs and the name of the first run.

    `causes` maps the name of each run to its cause.
    """
    runs: dict[str, list[str]] = {}
    for run, cause in causes.items():
        runs.setdefault(cause, []).append(run)
    told = [
        f"{format_count(len(names), 'run')}: {cause} ({'first: ' if len(names) > 1 else ''}{names[0]})"
        for cause, names in runs.items()
    ]
    more = len(told) - MOST_CAUSES
    return [*told[:MOST_CAUSES], *([f"{format_count(more, 'other cause')}"] if more > 0 else [])]
