"""`ablate doctor`: list the engines and data sets of this machine."""

from rich.markup import escape

from ablate.cli.console import DataDir, empty_table, out


def doctor(data_dir: DataDir = None) -> None:
    """List this machine's engines and data sets; train nothing."""
    from ablate.cli import doctor as doctors

    table = empty_table("", "", "")
    for finding in doctors.examine(data_dir):
        table.add_row(finding.name, "yes" if finding.there else "no", escape(finding.told))
    out.print(table)
