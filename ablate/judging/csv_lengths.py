"""Check that no row of a CSV file has more fields than the header.

If a name contains the separator and is not in quotes, its row has too many fields. All fields after the name
are then in the wrong columns. If pandas reads only some of the columns, it drops the last fields of such a
row without a message. So ablate would judge a number from another column.
"""

import csv
from pathlib import Path

from ablate.errors import AblateError, format_error
from ablate.judging.files import open_text

BLOCK = 2**22


def check_lengths(path: Path, separator: str, fields: int) -> None:
    """Check that no row has more than `fields` fields. Empty fields beyond them are allowed.

    Raises:
        AblateError: a row has more fields, and one of them is not empty.
    """
    if _has_usual_lengths(path, separator, fields):
        return
    with open_text(path) as file:
        reader = csv.reader(file, delimiter=separator)
        try:
            for row in reader:
                if len(row) > fields and any(cell.strip() for cell in row[fields:]):
                    of_r = "; if R wrote the table, use row.names = FALSE" if len(row) == fields + 1 else ""
                    raise AblateError(
                        f"{path}: line {reader.line_num:,} has more than the {fields} fields of the header: "
                        f"put quotes around a text that contains the separator{of_r}"
                    )
        except csv.Error as error:
            raise AblateError(
                f"{path}: line {reader.line_num:,} cannot be read as CSV: {format_error(error)}: check its "
                "quotes"
            ) from None


def _has_usual_lengths(path: Path, separator: str, fields: int) -> bool:
    """Return whether the rows seem to have `fields` fields each.

    This is so if the file has no quotes, and if it has as many separators as such rows have together.

    To count separators takes a tenth of the time that it takes to parse the file.
    """
    separators = lines = 0
    last = "\n"
    with open_text(path) as file:
        while block := file.read(BLOCK):
            if '"' in block:
                return False
            separators += block.count(separator)
            lines += block.count("\n")
            last = block[-1]
    lines += last != "\n"
    return separators == lines * (fields - 1)
