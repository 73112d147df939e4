"""One PostgreSQL table into a lake by the extract tools of PyPI, one tool a process, for `bench/postgres.py --peers`.

    postgres_copy.py TOOL ADDRESS TABLE FOLDER

`connectorx` reads the table into Arrow in four parts and pyarrow writes it as Parquet, packed as our lake's files are. `dlt` takes
it with its sql_database source (backend pyarrow) into Parquet files of a folder, once with its own batches. Both get the address as
`postgresql://user@host:port/database`. Prints one JSON object: rows, seconds, peak memory in bytes. The clock runs from before the
first connection to after the last file; imports are not counted.
"""

import json
import resource
import sys
import time
from pathlib import Path


def with_connectorx(address: str, table: str, folder: Path):
    import connectorx
    import pyarrow.parquet

    began = time.monotonic()
    rows = connectorx.read_sql(address, f"select * from {table}", return_type="arrow", partition_on="id", partition_num=4)
    pyarrow.parquet.write_table(rows, folder / "table.parquet", compression="zstd")
    return rows.num_rows, time.monotonic() - began


def with_dlt(address: str, table: str, folder: Path):
    import dlt
    from dlt.destinations import filesystem
    from dlt.sources.sql_database import sql_table

    began = time.monotonic()
    pipeline = dlt.pipeline("bench", pipelines_dir=str(folder / "state"), destination=filesystem(str(folder / "files")), dataset_name="lake")
    source = sql_table(address, table=table, schema="public", backend="pyarrow", chunk_size=100_000)
    pipeline.run(source, loader_file_format="parquet", write_disposition="replace")
    seconds = time.monotonic() - began
    return pipeline.last_trace.last_normalize_info.row_counts[table], seconds


TOOLS = {"connectorx": with_connectorx, "dlt": with_dlt}


def main() -> None:
    tool, address, table, folder = sys.argv[1:]
    rows, seconds = TOOLS[tool](address, table, Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"rows": rows, "seconds": seconds, "peak_bytes": peak}))


if __name__ == "__main__":
    main()
