"""One Kafka topic into Parquet by Spark's structured streaming, for `bench/kafka.py --spark`.

    spark_kafka.py BROKERS TOPIC FOLDER JARS

Reads from the earliest offset to the end (`availableNow`), takes JSON apart with a declared schema, and writes zstd Parquet with
its checkpoint, on as many threads as there are processors. JARS is the folder with Spark's Kafka package. Prints one JSON object:
rows, seconds of the query alone and with the start of the session, peak memory of the Java process in bytes.
"""

import json
import sys
import time
from pathlib import Path

SCHEMA = "id bigint, user bigint, page string, amount double, at bigint, pad string"


def peak_of(process: int) -> int:
    """The most memory a running process had, in bytes."""
    line = next(line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import col, from_json

    brokers, topic, folder, jars = sys.argv[1:]
    began = time.monotonic()
    builder = SparkSession.builder.master("local[*]").config("spark.ui.enabled", "false").config("spark.driver.memory", "4g")
    builder = builder.config("spark.jars", ",".join(str(jar) for jar in sorted(Path(jars).glob("*.jar"))))
    spark = builder.config("spark.sql.parquet.compression.codec", "zstd").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    source = spark.readStream.format("kafka").option("kafka.bootstrap.servers", brokers).option("subscribe", topic)
    records = source.option("startingOffsets", "earliest").load()
    rows = records.select(from_json(col("value").cast("string"), SCHEMA).alias("row"), "partition", "offset", "timestamp")
    rows = rows.select("row.*", "partition", "offset", "timestamp")
    asked = time.monotonic()
    sink = rows.writeStream.format("parquet").option("path", f"{folder}/rows").option("checkpointLocation", f"{folder}/checkpoint")
    sink.trigger(availableNow=True).start().awaitTermination()
    ended = time.monotonic()
    count = spark.read.parquet(f"{folder}/rows").count()
    peak = peak_of(spark.sparkContext._gateway.proc.pid)
    spark.stop()
    print(json.dumps({"rows": count, "query_seconds": ended - asked, "seconds": ended - began, "peak_bytes": peak}))


if __name__ == "__main__":
    main()
