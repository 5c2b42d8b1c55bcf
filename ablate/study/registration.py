"""Registration: find the git commit that contained a study file before the first run of the study."""

from collections.abc import Sequence
from pathlib import Path

from ablate.git import call_git
from ablate.study.contexts import CHOICE


def find_registration(path: Path, overrides: Sequence[str] = ()) -> tuple[str, str]:
    """Find the commit that contains the study file as it is now. Return the commit's hash and its date.

    If there is no such commit, hash and date are empty. There is none if the file is not in a git repository,
    or if the file was changed after its last commit. There is also none if a `key=value` override changes the
    study. Overrides of the timing are allowed, because no verdict depends on the timing.
    """
    path = path.resolve()  # of a link, the file that it points to is read
    changes = [text for text in overrides if not text.startswith(("timing.", CHOICE))]
    if changes or call_git(path.parent, "diff", "--quiet", "HEAD", "--", path.name) is None:
        return "", ""
    found = call_git(path.parent, "log", "-1", "--format=%H %cs", "HEAD", "--", path.name)
    commit, _, date = (found or "").strip().partition(" ")
    return commit, date
