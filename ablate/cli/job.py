"""The main job: study → arms → tune → confirm → time → tables → report."""

from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ablate import models
from ablate.cli.console import err, tell
from ablate.cli.doctor import warn_without_lanes
from ablate.cli.progress import make_display
from ablate.cli.reading import tell_about_images
from ablate.cores import count_cores
from ablate.design.designs import Layout, lay_out
from ablate.devices.choice import name_kind
from ablate.errors import AblateError, FolderError, install_command
from ablate.execution.executor import Conditions
from ablate.experiment.conduct import Conduct
from ablate.experiment.events import Advanced, Warned
from ablate.interruption import Interrupted, delay_interrupts, raise_on_interrupt
from ablate.models import own
from ablate.records.folder import ReportFolder
from ablate.records.provenance import Registration
from ablate.records.record import Record
from ablate.report.evidence import Evidence
from ablate.study import study_file
from ablate.study.spec import StudySpec


@dataclass(frozen=True, kw_only=True)
class Job:
    """One study to answer on this machine, with the options of the command."""

    study: StudySpec
    data_root: Path | None
    missing_data: str | None
    """The name of the missing data set that the study's fallback replaces. None if no data is replaced."""
    out_dir: Path
    device: str
    jobs: int | None
    cluster: str | None
    storage: str | None
    quiet: bool
    registration: Registration | None = None
    """The commit of the study file at the start of the command. None if this is not known."""

    @property
    def folder(self) -> ReportFolder:
        """The report folder of the study."""
        name = f"{self.study.name}-{self.study.dataset}" if self.missing_data else self.study.name
        return ReportFolder(self.out_dir / name / (self.study.context or ""))

    def answer(self, *, fresh: bool) -> Evidence:
        """Do all training and timing that is left, write the report, and return what the report rests on.

        Raises:
            AblateError: the folder, the data or the record cannot be used.
            Interrupted: a signal arrived; a partial report has been written.
        """
        study, folder = self.study, self.folder
        layout = lay_out(study)
        folder.lock(fresh=fresh)
        with ExitStack() as stack:
            stack.callback(folder.release)
            stack.enter_context(raise_on_interrupt())
            store = None if self.storage is None else _open_shared_record(self.storage, study, folder)
            self._refuse_other_device(folder)
            kept = folder.read_provenance()
            registration = self.registration if kept is None else kept.registration
            if kept is not None and registration is not None and folder.differs_before_answer(study):
                registration = Registration(commit="", date="")  # the committed file is no longer the study
            changed = folder.adopt(study)
            if store is not None:
                store.share_study(study_file.dump(study))
            conditions = self._read_data(layout)
            conduct = Conduct(
                study,
                layout,
                folder,
                conditions,
                jobs=self.jobs or count_cores(),
                store=store,
                **({} if self.cluster is None else _use_cluster(self.cluster)),
            )
            stack.callback(conduct.close)
            reporting = _Reporting(self, folder, conduct, store, changed, registration)
            self._follow(conduct, reporting)
            with delay_interrupts():  # a signal must wait until the report is complete
                return reporting.write()

    def _refuse_other_device(self, folder: ReportFolder) -> None:
        """Refuse to train a study on two kinds of device, because the runs of a pair must come from one kind.

        Raises:
            FolderError: the folder's results come from another kind of device.
        """
        kept = folder.read_provenance()
        if self.storage is None and kept is not None and kept.machine.device != name_kind(self.device):
            there = kept.machine.device
            raise FolderError(
                f"{folder.path}: its runs were trained on {there}. On {self.device}, every run would be "
                f"trained again. Continue with --device {there}, choose another --out, or rename the old "
                "folder with --fresh. The commands report, compare, explore, activations and export work on "
                "any machine"
            )

    def _read_data(self, layout: Layout) -> Conditions:
        """Read and check the data set, and return the conditions that all runs share."""
        used = sorted({arm.model for arm in layout.arms})
        codes = {model: models.identify_code(model) for model in used}
        conditions = Conditions(
            dataset=self.study.dataset,
            data_root=self.data_root,
            validation=self.study.validation,
            device=self.device,
            plugins=own.list_allowed(),
            code=tuple((model, code.modules_sha256) for model, code in codes.items() if code),
        )
        # Read the data here first, so that a damaged file gives one error and not a failure of every run.
        dataset = conditions.load(None)
        if not self.quiet:
            tell_about_images(dataset.read_as, dataset.cautions)
        if (slower := warn_without_lanes(self.device)) and not self.quiet:
            tell(slower, wrap=True)
        return conditions

    def _follow(self, conduct: Conduct, reporting: "_Reporting") -> None:
        """Run all phases and show their progress. Write a preliminary report after the first pair."""
        try:
            with make_display(err, quiet=self.quiet) as shown, closing(conduct.run_phases()) as events:
                for event in events:
                    if isinstance(event, Advanced):
                        shown.show(event)
                    elif isinstance(event, Warned):
                        tell(f"warning: {event.text}", wrap=True)
                    else:
                        with delay_interrupts():
                            reporting.write()
                        if not self.quiet:
                            tell(f"first pair done, preliminary report: {reporting.page}")
        except Interrupted:
            # While the partial report is written, a second signal ends the command at once.
            reporting.write(measure_costs=False)
            tell(f"partial report: {reporting.page}")
            raise


@dataclass(frozen=True)
class _Reporting:
    """Writes reports of all runs that are recorded so far."""

    job: Job
    folder: ReportFolder
    conduct: Conduct
    store: Record | None
    changed_after_answer: tuple[str, ...]
    registration: Registration | None

    @property
    def page(self) -> Path:
        return self.folder.path / "report.html"

    def write(self, *, measure_costs: bool = True) -> Evidence:
        """Write the tables, the provenance and the report of all runs that are recorded so far."""
        # This module is imported only here, because the import takes a second or two. By now, the workers are
        # already training.
        from ablate.report import writer

        provenance = replace(
            self.conduct.make_provenance(measure_costs=measure_costs),
            fallback=self.job.missing_data,
            changed_after_answer=self.changed_after_answer,
            registration=self.registration,
            test_set_readers=self.folder.list_test_set_readers(self.job.study),
        )
        self.folder.write_provenance(provenance)
        if self.store is not None and not self.conduct.is_timed_elsewhere:
            self.store.share_provenance(provenance.to_dict())
        self.folder.write_tables(self.conduct.make_tables())
        return writer.write(self.folder.path)


def _use_cluster(address: str) -> Mapping[str, Any]:
    """Make the keyword arguments that let `Conduct` train on a Ray cluster.

    With these arguments, `Conduct` keeps other Ray tasks away from this machine during measurements of
    throughput.
    """
    try:
        from ablate.execution.ray_cluster import RayTasks, reserve_machine
    except ModuleNotFoundError as error:
        raise AblateError(f"--cluster: {error.name} is not installed: {install_command('ray')}") from None
    return {
        "workers": lambda conditions, _: RayTasks(conditions, address),
        "alone": lambda: reserve_machine(address),
    }


def _open_shared_record(url: str, study: StudySpec, folder: ReportFolder) -> Record:
    """Open the record that several hosts share. If it has a study file, copy this file to the folder."""
    from ablate.records.postgresql_record import PostgresqlRecord

    store = PostgresqlRecord(url, study.full_name)
    if store.study is not None:
        folder.write_study(store.study)
    return store
