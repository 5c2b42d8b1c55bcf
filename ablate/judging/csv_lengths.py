"""Check that no row of a CSV file is longer than its header.

pandas drops the last fields of such a row if it reads only some of the columns. But if a name contains the
separator and no quotes, all fields after it are shifted, and a number from another column would be judged.
"""

import csv
from pathlib import Path

from ablate.errors import AblateError, format_error
from ablate.judging.files import open_text

BLOCK = 2**22


def check_lengths(path: Path, separator: str, fields: int) -> None:
    """Check that no row has more than `fields` fields. Empty fields beyond them are allowed.

    Raises:
        AblateError: a row is longer.
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
    """Return whether the file has no quotes, and as many separators as rows of `fields` fields have.

    Counting takes a tenth of the time that parsing takes.
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
