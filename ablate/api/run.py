"""Answer a study from Python."""

from pathlib import Path

from ablate.api.notebooks import import_quietly
from ablate.api.report import Report
from ablate.api.study import Study
from ablate.devices.choice import choose_device
from ablate.execution import fork_server
from ablate.interruption import Interrupted


def run(
    study: Study,
    *,
    out: str | Path = "reports",
    device: str = "auto",
    jobs: int | None = None,
    data_dir: str | Path | None = None,
    fresh: bool = False,
    fallback: bool = True,
    quiet: bool = False,
) -> Report:
    """Answer a study's question: tune, confirm and time every arm, and write the report folder `out/<name>`.

    The call can be interrupted at any time, and the process can be killed. The next call with the same study
    continues. The arguments are the options of `ablate run`: `device` is auto, cpu, cuda, mps or xpu; `jobs`
    is the number of runs at a time on a CPU; `data_dir` is the folder of the data sets; `fresh` renames an
    earlier folder and starts over; `fallback` allows the study's fallback if its data is missing; `quiet`
    hides the progress.

    Raises:
        AblateError: the study, the data or the folder cannot be used.
        KeyboardInterrupt: a person interrupted the call. A partial report has been written.
    """
    fork_server.prepare()  # first, so that its import of torch runs beside ours
    chosen = choose_device(device)
    study.provide_code()
    with import_quietly():
        from ablate.cli.job import Job  # imports torch, while the server of the workers imports it, too
        from ablate.cli.preparing import check_arms, find_data
        from ablate.report import index
        from ablate.torch_settings import keep_torch_settings

    with keep_torch_settings():
        spec = check_arms(study.spec, study.plugins)
        folder = None if data_dir is None else Path(data_dir)
        spec, data_root, missing = find_data(spec, study.read_fallback if fallback else None, folder)
        job = Job(
            study=spec,
            data_root=data_root,
            missing_data=missing,
            out_dir=Path(out),
            device=chosen,
            jobs=jobs,
            cluster=None,
            storage=None,
            quiet=quiet,
        )
        try:
            evidence = job.answer(fresh=fresh)
        except Interrupted:
            raise KeyboardInterrupt from None
        finally:
            if study.source is not None and job.folder.path.is_dir():
                study.source.save(job.folder.path)
    index.write_index(Path(out))
    return Report(job.folder.path, evidence)
