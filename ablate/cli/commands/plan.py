"""`ablate plan`: show the runs and minutes that a study takes."""

from typing import TYPE_CHECKING

from rich.markup import escape

from ablate.cli.console import Overrides, Plugins, StudyFile, empty_table, out, say, tell
from ablate.cli.reading import tell_about_images
from ablate.interruption import raise_on_interrupt

if TYPE_CHECKING:
    from ablate.study.spec import StudySpec


def plan(path: StudyFile, overrides: Overrides = None, *, plugin: Plugins = None) -> None:
    """Show a study's arms, runs and minutes; train nothing."""
    from ablate.cli.studies import read_contexts

    studies = read_contexts(path, overrides or [], plugin or [])
    from ablate.engines.training import settle_process
    from ablate.models import own

    own.allow(plugin or [])
    settle_process(1)  # more threads would not make a few steps of a small network faster
    for study in studies:
        if study.context is not None:
            say(f"context: {study.context}", style="bold")
        _show(study)


def _show(study: "StudySpec") -> None:
    """Show the arms, runs and minutes of one study."""
    from ablate.cores import count_cores, describe_cores
    from ablate.design.designs import lay_out
    from ablate.design.expected_arms import check_predictions
    from ablate.design.names import settle_names
    from ablate.experiment.outlook import foresee

    # Here Ctrl-C raises Interrupted, so only a user's own code can raise KeyboardInterrupt.
    with raise_on_interrupt():
        study = settle_names(study)
        layout = lay_out(study)
        check_predictions(study, layout)
        _tell_about_images(study)
        outlook = foresee(study, layout, jobs=count_cores())
    priced = outlook.priced
    numbers = ("parameters", "FLOP/example", "examples/s a core")
    table = empty_table("arm", *numbers, right=numbers)
    for row in priced.arms:
        table.add_row(
            escape(row.arm),
            f"{row.parameters:,}",
            f"{row.flops_per_example:,}",
            f"{row.examples_per_second:,.0f}",
        )
    out.print(table)
    for name, reason in outlook.left_out.items():
        say(f"left out: {name}: {reason}", wrap=True)
    for line in priced.engines_in_words:
        say(line, wrap=True)
    say(f"{priced.runs_in_words}: {priced.minutes_in_words} on this machine's {describe_cores()}", wrap=True)
    for line in outlook.expected_seeds:
        say(line, wrap=True)
    for warning in outlook.warnings:
        tell(f"warning: {warning}", wrap=True)


def _tell_about_images(study: "StudySpec") -> None:
    """If the data set is a folder of the user's own images, read them and print how they were read."""
    if study.dataset.path is not None:
        from ablate.data.loading import prepare_trial_images
        from ablate.stats.chance import describe_majority

        images = prepare_trial_images(study.dataset, None)
        tell_about_images(images.read_as, images.cautions, show=say)
        majority = describe_majority(images.classes, images.count_test_images())
        say(f"test images: {majority}", wrap=True)
