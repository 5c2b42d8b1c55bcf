"""Read the rows of a data set with images inside tables."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.data.hugging_face import work_offline
from ablate.data.stored_columns import Columns
from ablate.data.stored_files import read_cell

ROWS_AT_ONCE = 100
"""The number of rows that are read at once. Each row has one image, usually of less than a megabyte."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredImages:
    """The rows of a data set with images inside tables."""

    place: str
    splits: Mapping[str, Any]
    """Maps the name of each used split to the rows of this split, as a data set of the `datasets` library."""
    columns: Columns

    def read(self) -> Iterator[tuple[Path, object, bytes]]:
        """Yield for each row a path such as `split/row 7 (cat.png)`, the label, and the image file's content.

        Raises:
            ValueError: a row has no image, or a table is damaged.
        """
        with work_offline(self.place):
            for split, rows in self.splits.items():
                number = 0
                chosen = rows.select_columns([self.columns.image, self.columns.label])
                for batch in chosen.with_format("arrow").iter(batch_size=ROWS_AT_ONCE):
                    cells, labels = (
                        batch.column(name).to_pylist() for name in (self.columns.image, self.columns.label)
                    )
                    for cell, label in zip(cells, labels, strict=True):
                        try:
                            name, content = read_cell(cell)
                        except ValueError as error:
                            raise ValueError(f"{self.place}: {split}: row {number} {error}") from None
                        shown = f" ({name})" if name else ""
                        yield Path(split, f"row {number}{shown}"), label, content
                        number += 1
