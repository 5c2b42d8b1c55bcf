"""Run a study from Python."""

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
    """Answer a study's question: tune, train and time every arm, and write the report folder `out/<name>`.

    Args:
        study: the study.
        out: the parent of the report folder.
        device: auto, cpu, cuda, mps or xpu.
        jobs: how many runs train at the same time on a CPU. None means one for each core.
        data_dir: the folder of the data sets. None means the usual folders.
        fresh: rename an existing report folder, and start from the beginning.
        fallback: use the study's `fallback` section if its data is missing.
        quiet: hide the progress.

    Raises:
        AblateError: the study, the data or the folder cannot be used.
        KeyboardInterrupt: the call was interrupted. A partial report is written. The next call continues.
    """
    fork_server.prepare()  # first, so that the server and this process import torch at the same time
    chosen = choose_device(device)
    study.provide_code()
    with import_quietly():
        from ablate.cli.job import Job  # imports torch
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
