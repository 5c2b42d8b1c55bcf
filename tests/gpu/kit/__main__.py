"""Run the kit on a machine with a GPU and without network.

python3 -m tests.gpu.kit                  on the GPU, with the full data, in eight minutes
python3 -m tests.gpu.kit --dry-run        on the CPU, at the smallest sizes
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.gpu.kit.parts import SECONDS, list_parts
from tests.gpu.kit.places import CARRIED_FOLDER, ROOT
from tests.gpu.kit.results import Results
from tests.gpu.kit.running import exit_on_signals, run_part

NOWHERE = "http://127.0.0.1:9"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts one after the other. Return 0 if all passed, else 1."""
    options = read_options(arguments)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    device = "cpu" if options.dry_run else options.device
    with tempfile.TemporaryDirectory(prefix="ablate-kit-") as work, exit_on_signals():
        every = list(list_parts(Path(work), options.carried, device=device, full=not options.dry_run))
        if unknown := set(options.only) - {part.name for part in every}:
            sys.exit(
                f"--only: no part {', '.join(sorted(unknown))}: the parts are {', '.join(p.name for p in every)}"
            )
        chosen = [part for part in every if not options.only or part.name in options.only]
        results = Results(out)
        deadline = time.monotonic() + options.seconds
        try:
            for part in chosen:
                seconds = min(part.seconds * options.seconds / SECONDS, deadline - time.monotonic())
                log = out / f"{part.name}.log"
                log.write_text("")
                print(f"{part.name}: at most {max(0.0, seconds):.0f} s", flush=True)
                outcome = run_part(part, make_environment(Path(work), device), log, seconds)
                results.add(part, outcome, seconds)
        finally:
            print(results.summarise(), flush=True)
    return 0 if results.have_passed(chosen) else 1


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="tests.gpu.kit", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="run on the CPU, at the smallest sizes")
    parser.add_argument("--device", default="cuda", help="the device: cuda, or what ablate's --device takes")
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=[], help="parts, with commas between"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=SECONDS,
        help="time for all parts; their limits grow and shrink with it",
    )
    parser.add_argument(
        "--carried", type=Path, default=CARRIED_FOLDER, help="the folder with wheels and data"
    )
    out = os.environ.get("OUT") or "kit-results"
    parser.add_argument("--out", type=Path, default=Path(out), help="folder for the results; else $OUT")
    return parser.parse_args(arguments)


def make_environment(work: Path, device: str) -> dict[str, str]:
    """Make the environment of a part: the installed wheels, the unpacked data, no network.

    On a CPU, runs train in cohorts too, so that a dry run takes the way of a GPU.
    """
    made = dict(os.environ)
    before = made.get("PYTHONPATH")
    made["PYTHONPATH"] = os.pathsep.join([str(work / "site"), str(ROOT), *([before] if before else [])])
    if (work / "data").exists():
        made["ABLATE_DATA"] = str(work / "data")
    if device == "cpu":
        made |= {"ABLATE_ENGINE": "cohort", "OMP_WAIT_POLICY": "passive"}
    return made | {"https_proxy": NOWHERE, "http_proxy": NOWHERE, "PYTHONUNBUFFERED": "1"}


if __name__ == "__main__":
    sys.exit(main())
