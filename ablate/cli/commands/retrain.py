"""`ablate retrain`: train one network of each arm again, for a folder that has only tables."""

from ablate.cli.console import DataDir, Plugins, ReportDir, say, tell


def retrain(folder: ReportDir, *, data_dir: DataDir = None, plugin: Plugins = None) -> None:
    """Train networks again for a folder without weights.

    The first confirmed run of each arm is trained. Its weights are rounded to
    float16, so that the files are small enough for Git. No table changes.
    """
    from ablate.experiment import retrain as retraining
    from ablate.models import own

    own.allow(plugin or [])
    made = []
    for one in retraining.retrain(folder, data_dir):
        made.append(one)
        tell(
            f"{one.arm}: test accuracy {one.accuracy:.2%}, on record {one.recorded_accuracy:.2%}; "
            f"float16 changes {one.changed:,} of {one.test_images:,} predictions"
        )
    if made:
        size = max(len(one.checkpoint) for one in made) / 1000
        say(f"written: {len(made)} files in {folder / 'checkpoints'}, each at most {size:,.0f} kB")
    else:
        say(f"{folder}: no weights are missing")
