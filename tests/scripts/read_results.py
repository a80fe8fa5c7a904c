"""Reads the results of a sweep with pandas and DuckDB: every column has its type, every cell its value.

usage: read_results.py DIR; exits 77 where a package is missing.
"""

import csv
import json
import pathlib
import sys

try:
    import duckdb
    import pandas
except ImportError as missing:
    print(f"{missing.name} is not installed (pip install pandas duckdb pyarrow)")
    sys.exit(77)

folder = pathlib.Path(sys.argv[1])
rows = [json.loads(line) for line in (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()]
columns = list(rows[0])


def kind(column):
    """text, integer or real: what the cells of a column are, None where all are missing."""
    values = [row[column] for row in rows if row[column] is not None]
    if not values:
        return None
    if all(isinstance(value, str) for value in values):
        return "text"
    assert all(isinstance(value, (int, float)) for value in values), column
    return "integer" if all(isinstance(value, int) for value in values) else "real"


def same(found, wanted, column, reader):
    """Whether a column's cells are the expected ones; missing ones are None or NaN."""
    assert len(found) == len(wanted), (reader, column)
    for number, (cell, value) in enumerate(zip(found, wanted)):
        missing = cell is None or cell != cell or cell is pandas.NA
        assert missing == (value is None), (reader, column, number, cell, value)
        assert missing or cell == value, (reader, column, number, cell, value)


def in_csv(value):
    """A value as CSV has it: text that a spreadsheet would run stands behind a quote."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")) else value


def stated(column, reader):
    return [in_csv(row[column]) if reader.endswith("CSV") else row[column] for row in rows]


def check_pandas(frame, reader):
    assert list(frame.columns) == columns, reader
    for column in columns:
        dtype = frame[column].dtype
        wanted = kind(column)
        if wanted == "text":
            assert not pandas.api.types.is_numeric_dtype(dtype), (reader, column, dtype)
        elif wanted is not None:
            assert pandas.api.types.is_numeric_dtype(dtype), (reader, column, dtype)
        if wanted == "integer" and all(row[column] is not None for row in rows):
            assert pandas.api.types.is_integer_dtype(dtype), (reader, column, dtype)
        same(frame[column].tolist(), stated(column, reader), column, reader)


def check_duckdb(relation, reader):
    assert relation.columns == columns, reader
    cells = relation.fetchall()
    for place, column in enumerate(columns):
        wanted = kind(column)
        of = str(relation.types[place])
        if wanted == "text":
            assert of == "VARCHAR", (reader, column, of)
        elif wanted == "integer":
            assert of in ("BIGINT", "INTEGER"), (reader, column, of)
        elif wanted == "real":
            assert of == "DOUBLE", (reader, column, of)
        same([row[place] for row in cells], stated(column, reader), column, reader)


# As a spreadsheet does: bytes to UTF-8, fields by RFC 4180, nothing else.
with open(folder / "results.csv", encoding="utf-8", newline="") as file:
    plain = list(csv.reader(file, strict=True))
assert plain[0] == columns and all(len(row) == len(columns) for row in plain)
for column, cells in zip(columns, zip(*plain[1:])):
    for cell, row in zip(cells, rows):
        value = in_csv(row[column])
        wanted = "" if value is None else value if isinstance(value, str) else json.dumps(value)
        assert cell == wanted or float(cell) == value, (column, cell, value)

names = {row["workload"] for row in rows}
assert 'chat, „größer“ "7"' in names, names
check_pandas(pandas.read_csv(folder / "results.csv"), "pandas CSV")
check_duckdb(duckdb.sql(f"select * from '{folder}/results.csv'"), "DuckDB CSV")
if (folder / "results.parquet").exists():
    check_duckdb(duckdb.sql(f"select * from '{folder}/results.parquet'"), "DuckDB Parquet")
    try:
        check_pandas(pandas.read_parquet(folder / "results.parquet"), "pandas Parquet")
    except ImportError:
        print("pandas reads Parquet with pyarrow only; DuckDB has read it")
print(f"{len(rows)} rows, {len(columns)} columns")
