#!/usr/bin/env python3
"""What a program that is not ours finds in an exported file: read_export.py FILE → JSON.

Numbers are numbers, empty cells null, times `YYYY-MM-DD HH:MM:SS` as the file shows them. Must not guess: a file that is not what its
name says is an error.
"""

import csv
import datetime
import json
import pathlib
import sys


def told(value):
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return value


def of_text(text: str, is_comma: bool):
    if text == "":
        return None
    try:
        return float(text.replace(",", ".") if is_comma else text)
    except ValueError:
        pass
    try:
        return told(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")))
    except ValueError:
        return text


def read_csv(path: pathlib.Path) -> dict:
    raw = path.read_bytes()
    has_mark = raw.startswith(b"\xef\xbb\xbf")
    lines = raw.decode("utf-8-sig").splitlines()
    separator = ";" if ";" in lines[0] else ","
    titles, *rows = csv.reader(lines, delimiter=separator, strict=True)
    rows = [[of_text(cell, separator == ";") for cell in row] for row in rows]
    return {"titles": titles, "rows": rows, "marks": {"bom": has_mark, "separator": separator}}


def read_xlsx(path: pathlib.Path) -> dict:
    import openpyxl

    titles, rows, cells = None, [], []
    for sheet in openpyxl.load_workbook(path, read_only=True).worksheets:
        head, *body = sheet.iter_rows()
        titles = [cell.value for cell in head]
        kind = lambda cell: "date" if cell.is_date else {"n": "number", "s": "text", "inlineStr": "text"}[cell.data_type]
        cells = cells or [kind(cell) for cell in body[0][:4]]
        rows += [[told(number(cell.value)) for cell in row] for row in body]
    return {"titles": titles, "rows": rows, "cells": cells}


def number(value):
    return float(value) if isinstance(value, int) else value


def read_parquet(path: pathlib.Path) -> dict:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    columns = [[told(value) for value in column.to_pylist()] for column in table.columns]
    facts = pyarrow.parquet.read_metadata(path).metadata or {}
    return {
        "titles": table.column_names,
        "rows": [list(row) for row in zip(*columns)],
        "types": {field.name: str(field.type) for field in table.schema},
        "facts": {key.decode(): value.decode() for key, value in facts.items() if key.startswith(b"giot.")},
    }


def main() -> None:
    path = pathlib.Path(sys.argv[1])
    readers = {".csv": read_csv, ".xlsx": read_xlsx, ".parquet": read_parquet}
    print(json.dumps(readers[path.suffix](path)))


if __name__ == "__main__":
    main()
