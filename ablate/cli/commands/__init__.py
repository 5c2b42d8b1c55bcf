"""The commands beside the main job, one file each."""

import typer

from ablate.cli.commands.activations import activations
from ablate.cli.commands.bench import bench
from ablate.cli.commands.dashboard import dashboard
from ablate.cli.commands.doctor import doctor
from ablate.cli.commands.explore import explore
from ablate.cli.commands.export import export
from ablate.cli.commands.models import models

app = typer.Typer()
for command in (models, bench, export, activations, explore, dashboard, doctor):  # the order of --help
    app.command()(command)
