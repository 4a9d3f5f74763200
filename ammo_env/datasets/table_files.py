"""A table of one's own, from a CSV or an NPZ file: read, checked, and refused with the row that is wrong.

Columns (CSV) or arrays (NPZ): `id`, `name`, `subspace`, and either `text` or a vector. In a CSV every further column is
a coordinate, in the order of the file; in an NPZ the vectors are one array `vector` [N, D]. `id` may be missing (rows
are counted from 1 then), so may `name` (it is the id then) and `subspace`.
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ammo_env.arrays import FloatArray
from ammo_env.datasets.folders import DataError

LABELS = ("id", "name", "subspace", "text")
SOURCE = "A table has columns id, name, subspace and either text or coordinates; see ammo_env/datasets/table_files.py."

Where = Callable[[int], str]  # how an error calls the n-th row


@dataclass(frozen=True)
class Table:
    """N rows; either `texts` or `vectors` is there."""

    names: tuple[str, ...]
    subspaces: tuple[str, ...] | None  # label of each row
    texts: tuple[str, ...] | None
    vectors: FloatArray | None  # [N, D] unit


def read_table(path: Path) -> Table:
    """The table of a .csv or .npz file.

    Raises FileNotFoundError where there is none, and `DataError`, naming file and row, where it cannot be read: another
    format, no rows, a wrong number of cells, a coordinate that is no finite number, a vector of zeros, an empty cell
    where there must be one, an id given twice, or both texts and vectors or neither.
    """
    if not path.is_file():
        raise FileNotFoundError(f"knowledge.path: there is no file {path}. {SOURCE}")
    readers = {".csv": _read_csv, ".npz": _read_npz}
    if path.suffix.lower() not in readers:
        raise DataError(f"{path}: expected a .csv or .npz file. {SOURCE}")
    return readers[path.suffix.lower()](path)


def _wrong(where: str, expected: str, found: object) -> DataError:
    return DataError(f"{where}: expected {expected}, found '{str(found)[:80]}'. {SOURCE}")


def _read_csv(path: Path) -> Table:
    """UTF-8, commas, a header; blank lines are passed over."""
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                if row:
                    rows.append([cell.strip() for cell in row])
                    lines.append(reader.line_num)
    except (csv.Error, UnicodeDecodeError) as error:
        last = lines[-1] if lines else 0
        raise DataError(f"{path}, after line {last}: not a CSV in UTF-8: {error}. {SOURCE}") from None
    if len(rows) < 2:
        raise DataError(f"{path}: expected a header and at least one row, found {len(rows)} lines. {SOURCE}")
    header, body = rows[0], rows[1:]

    def where(row: int) -> str:
        return f"{path}, line {lines[row + 1]}"

    if len(set(header)) < len(header) or "" in header:
        raise _wrong(f"{path}, line {lines[0]}", "column names, each once", ",".join(header))
    for number, row in enumerate(body):
        if len(row) != len(header):
            raise _wrong(where(number), f"{len(header)} cells ({', '.join(header[:6])})", f"{len(row)} cells")
    labels = {name: tuple(row[header.index(name)] for row in body) for name in LABELS if name in header}
    places = [place for place, name in enumerate(header) if name not in LABELS]
    numbers = np.empty((len(body), len(places)))
    for number, row in enumerate(body):
        for column, place in enumerate(places):
            try:
                numbers[number, column] = float(row[place])
            except ValueError:
                raise _wrong(where(number), f"a number in column '{header[place]}'", row[place]) from None
    return _checked(str(path), labels, numbers if places else None, where)


def _read_npz(path: Path) -> Table:
    """Arrays of one length; labels may be strings or whole numbers. Nothing pickled is read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: not an NPZ file of plain arrays: {error}. {SOURCE}") from None
    unknown = arrays.keys() - {*LABELS, "vector"}
    if unknown:
        raise _wrong(str(path), "arrays id, name, subspace, text or vector", min(unknown))
    sizes = {name: array.shape for name, array in arrays.items()}
    for name, array in arrays.items():
        if array.ndim != (2 if name == "vector" else 1) or len(array) == 0:
            raise _wrong(f"{path}, array '{name}'", "[N, D]" if name == "vector" else "[N]", array.shape)
        if array.dtype.kind not in ("iuf" if name == "vector" else "iuU"):
            raise _wrong(f"{path}, array '{name}'", "numbers" if name == "vector" else "strings", array.dtype)
    if len({shape[0] for shape in sizes.values()}) > 1:
        raise _wrong(str(path), "arrays of one length", sizes)
    labels = {name: tuple(str(label).strip() for label in arrays[name]) for name in LABELS if name in arrays}
    vector = arrays["vector"].astype(np.float64) if "vector" in arrays else None
    return _checked(str(path), labels, vector, lambda row: f"{path}, row {row + 1}")


def _checked(
    path: str, labels: dict[str, tuple[str, ...]], numbers: NDArray[np.float64] | None, where: Where
) -> Table:
    """What both formats have in common."""
    if ("text" in labels) == (numbers is not None):
        raise _wrong(path, "either texts or vectors", "both" if "text" in labels else "neither")
    for name, column in labels.items():
        if "" in column:
            raise _wrong(where(column.index("")), f"something in column '{name}'", "")
    count = len(next(iter(labels.values()))) if labels else len(numbers if numbers is not None else ())
    ids = labels.get("id", tuple(str(row + 1) for row in range(count)))
    first = {label: row for row, label in reversed(list(enumerate(ids)))}
    for row, label in enumerate(ids):
        if first[label] != row:
            raise _wrong(where(row), f"an id that {where(first[label]).rsplit(', ', 1)[1]} does not have", label)
    vectors = None if numbers is None else _unit_rows(numbers, where)
    return Table(labels.get("name", ids), labels.get("subspace"), labels.get("text"), vectors)


def _unit_rows(numbers: NDArray[np.float64], where: Where) -> FloatArray:
    for holds, expected in ((np.isfinite(numbers).all(axis=1), "finite coordinates"),
                            (numbers.any(axis=1), "a vector other than zero")):  # fmt: skip
        if not holds.all():
            row = int(np.flatnonzero(~holds)[0])
            raise _wrong(where(row), expected, numbers[row])
    scaled = numbers / np.abs(numbers).max(axis=1, keepdims=True)  # so that no square is too large or too small
    return np.asarray(scaled / np.linalg.norm(scaled, axis=1, keepdims=True), dtype=np.float32)
