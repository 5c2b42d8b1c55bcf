"""List images from a table. Each row has a path, a label and optionally a part (train, validation, test)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.data.class_names import show
from ablate.data.column_names import COLUMNS, strip_name
from ablate.data.folder_walk import list_endings, show_some
from ablate.data.image_folders import TEST_EVERY, ImageFolder, Sorted, arrange
from ablate.data.splits import TEST, TRAIN, VALIDATION, read_long_split, read_split
from ablate.formatting import format_count

if TYPE_CHECKING:
    import pandas as pd

TABLE_ENDINGS = (".csv", ".tsv", ".txt", ".jsonl", ".parquet", ".pq")
PARQUET = (".parquet", ".pq")
SEPARATORS = (",", ";", "\t")
YES, NO = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no", "")


def find_metadata(folder: Path) -> list[Path]:
    """Find the tables of an image folder in Hugging Face's layout.

    The tables are called `metadata.csv` (or .jsonl, .parquet). The tables are in the folder, or in subfolders
    such as `train`. The list is empty if there is no such table, or if a table has no label column.
    """
    below = sorted(one for one in folder.iterdir() if one.is_dir() and read_split(one.name))
    tables = [
        table
        for place in (folder, *below)
        for ending in (".csv", ".jsonl", ".parquet")
        if (table := place / f"metadata{ending}").is_file()
    ]
    return tables if all(_find_column(_read(table), "label") for table in tables) else []


def list_image_table(paths: Sequence[Path]) -> ImageFolder:
    """List the images of a table, or of several tables. Paths in a table are relative to the table's folder.

    Raises:
        ValueError: a table cannot be read, lacks a column, or names files that do not exist.
    """
    rows = _Rows(parts={}, seen={})
    missing: list[str] = []
    for path in paths:
        table = _read(path)
        columns = {kind: _find_column(table, kind) for kind in COLUMNS}
        for kind in ("path", "label"):
            if columns[kind] is None:
                names = ", ".join(map(repr, table.columns))
                raise ValueError(
                    f"{path}: has no column {kind} (it has {names}): name the columns path, label and, "
                    "if you like, split"
                )
        in_folder = read_split(path.parent.name) if path.stem == "metadata" else None
        cells = zip(*(_list_cells(table, columns[kind]) for kind in COLUMNS), strict=True)
        for number, (name, label, part) in enumerate(cells, start=_count_head_lines(path) + 1):
            place = f"{'row' if path.suffix.lower() in PARQUET else 'line'} {number}"
            if not name or not label:
                raise ValueError(f"{path}: {place} has no {'label' if name else 'path'}: add it")
            split = in_folder or _read_part(path, place, part, columns["split"])
            file = _find_file(path.parent, name)
            if file is None:
                missing.append(name)
            else:
                rows.add(path, place, file, label, split)
    _refuse_missing(paths[0], missing)
    root = paths[0] if len(paths) == 1 else paths[0].parent.parent
    if TRAIN not in rows.parts:
        raise ValueError(f"{root}: no row is for training: check the column {columns['split'] or 'split'}")
    return arrange(root, _describe(root, rows, columns))


@dataclass
class _Rows:
    """The images of the rows that were read so far, by part and label.

    `repeated` is the number of rows that repeat an earlier row.
    """

    parts: dict[str, dict[str, list[Path]]]
    seen: dict[Path, tuple[str, str]]
    repeated: int = 0

    def add(self, table: Path, place: str, file: Path, label: str, split: str) -> None:
        """Add an image.

        Raises:
            ValueError: an earlier row gives the image another label, or puts it into another part.
        """
        name = show(Path(file.parent.name, file.name))
        repeated = file in self.seen
        earlier_label, earlier_split = self.seen.setdefault(file, (label, split))
        if label != earlier_label:
            raise ValueError(
                f"{table}: {place} gives {name} the label {label}, but an earlier row gives it "
                f"{earlier_label}: keep one of them"
            )
        if split != earlier_split:
            raise ValueError(
                f"{table}: {place} puts {name} into {split}, but an earlier row puts it into "
                f"{earlier_split}: keep one of them"
            )
        if repeated:
            self.repeated += 1
        else:
            self.parts.setdefault(split, {}).setdefault(label, []).append(file)


def _read(path: Path) -> "pd.DataFrame":
    """Read a table, and convert all cells to text."""
    import pandas as pd

    if path.suffix.lower() not in TABLE_ENDINGS:
        raise ValueError(f"{path}: is neither a folder nor a table: tables end in {', '.join(TABLE_ENDINGS)}")
    try:
        if path.suffix.lower() in PARQUET:
            table = pd.read_parquet(path)
        elif path.suffix.lower() == ".jsonl":
            table = pd.read_json(path, lines=True, dtype=False)
        else:
            with path.open(encoding="utf-8-sig") as lines:
                first = lines.readline()
            separator = max(SEPARATORS, key=first.count)
            table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except ImportError:
        raise ValueError(
            f"{path}: reading Parquet needs pyarrow: install it, or write the table as .csv"
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is not in UTF-8: save the table in UTF-8") from None
    except (ValueError, OSError, pd.errors.ParserError) as error:
        told = " ".join(str(error).split())
        raise ValueError(f"{path}: cannot be read as a table of images ({told})") from None
    return _flatten(path, table).map(_make_text)


def _flatten(path: Path, table: "pd.DataFrame") -> "pd.DataFrame":
    """Convert the index of a Parquet table to columns. In pandas, `set_index("path")` makes such an index.

    Raises:
        ValueError: the column of paths contains the images themselves, as Hugging Face's datasets library
            writes them.
    """
    named = [name for name in table.index.names if name is not None]
    table = table.reset_index(level=named) if named else table
    column = _find_column(table, "path")
    if column is not None and any(isinstance(cell, (dict, bytes)) for cell in table[column].head(1)):
        raise ValueError(
            f"{path}: column {column} has the images inside, not their paths: save each image as a file"
        )
    return table


def _count_head_lines(path: Path) -> int:
    """Return the number of header lines: 0 in JSON Lines and Parquet, 1 in other tables."""
    return 0 if path.suffix.lower() in (".jsonl", *PARQUET) else 1


def _make_text(cell: Any) -> str:
    """Convert a cell to text. Whole numbers are written without a decimal point.

    A missing value gives an empty text.
    """
    if cell is None or cell != cell:  # NaN is the only value that differs from itself
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _find_column(table: "pd.DataFrame", kind: str) -> str | None:
    """Find a column by its usual names. `kind` is a key of `COLUMNS`. Return None if no column is found."""
    plain = {strip_name(str(column)): str(column) for column in reversed(list(table.columns))}
    return next((plain[name] for name in COLUMNS[kind] if name in plain), None)


def _list_cells(table: "pd.DataFrame", column: str | None) -> list[str]:
    return [""] * len(table) if column is None else [str(cell).strip() for cell in table[column]]


def _read_part(path: Path, place: str, cell: str, column: str | None) -> str:
    """Convert a cell to the part of the data set that it names: train, validation or test."""
    if column is None:
        return TRAIN
    special = {"isvalid": VALIDATION, "istest": TEST}.get(strip_name(column))
    if special and cell.lower() in (*YES, *NO):
        return special if cell.lower() in YES else TRAIN
    split = None if special else read_split(cell) or read_long_split(cell)
    if split is None:
        raise ValueError(f"{path}: {place}: {column}: {cell!r} is no part: write train, validation or test")
    return split


def _find_file(folder: Path, name: str) -> Path | None:
    """Find the image file that a cell names. Return None if there is no such file.

    The name in the cell can lack the file's ending, and can contain backslashes.
    """
    for written in dict.fromkeys((name, name.replace("\\", "/"))):
        file = folder / written
        if file.is_file():
            return file
        if file.suffix.lower() not in list_endings():
            for ending in (".png", ".jpg", ".jpeg", *sorted(list_endings())):
                if (with_ending := file.with_name(file.name + ending)).is_file():
                    return with_ending
    return None


def _refuse_missing(path: Path, missing: list[str]) -> None:
    if missing:
        raise ValueError(
            f"{path}: {format_count(len(missing), 'file')} of the table cannot be found: "
            f"{show_some([show(name) for name in missing])} (paths start at the table's folder)"
        )


def _describe(path: Path, rows: _Rows, columns: dict[str, str | None]) -> Sorted:
    """Sort the files of every class by path, and write sentences about how the table was read."""
    parts = {
        part: {name: sorted(files) for name, files in by_class.items()}
        for part, by_class in rows.parts.items()
    }
    twice = [f"Left out: {format_count(rows.repeated, 'row')} with a repeated path."] if rows.repeated else []
    return Sorted(
        parts=parts,
        places={part: str(path) for part in (TRAIN, VALIDATION, TEST)},
        read_as=[*_tell_columns(columns, parts, by_folder=path.is_dir()), *twice],
        cautions=list(_warn_of_mixed_kinds(parts)),
    )


def _tell_columns(columns: dict[str, str | None], parts: dict[str, Any], *, by_folder: bool) -> Iterator[str]:
    split = f", column {columns['split']} the part" if columns["split"] else ""
    if by_folder:
        split = ", the name of the table's folder the part"
    tail = "" if TEST in parts else f" Every {TEST_EVERY}th training image of a class is for testing."
    yield f"Column {columns['path']} is the path, column {columns['label']} the class{split}.{tail}"


def _warn_of_mixed_kinds(parts: dict[str, dict[str, list[Path]]]) -> Iterator[str]:
    """Warn if the label column probably contains measured values instead of classes."""
    counts = Counter({name: len(files) for by_class in parts.values() for name, files in by_class.items()})
    if len(counts) > 20 and sum(counts.values()) < 3 * len(counts):
        yield f"The table has {len(counts):,} labels for {sum(counts.values()):,} images: are they classes?"
