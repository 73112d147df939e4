#!/usr/bin/env python3
"""The music project's warehouse in DuckDB: the peer that Headwater's build and dashboards are measured against.

    python duckdb_music.py LAKE_DIR [--threads N] [--memory 8GB] [--repeat 5] [--json FILE]

Reads the raw Delta tables of a lake (the Parquet files their logs list), builds the same tables from nothing as
`projects/music` does, in an on-disk database, and then asks the dashboards' questions. Prints one JSON object:

    {"engine": "duckdb", "version": "...", "threads": N, "events": rows read,
     "models": [{"name", "rows", "seconds"}], "build_seconds": S,
     "queries": [{"dashboard", "tile", "rows", "seconds"}],     (the median of --repeat runs)
     "peak_rss_bytes": B, "database_bytes": D}

Needs the packages duckdb and deltalake.
"""

import argparse
import datetime
import json
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import duckdb
from deltalake import DeltaTable

UNKNOWN = "'" + "0" * 32 + "'"
SOURCES = ("listen_events", "page_view_events", "status_change_events", "user_info", "songs", "locations")
PRICE_PER_WEEK = "1.245"
PAGES = {
    "Platform Information": ("About", "Help"),
    "Landing": ("Home",),
    "Registration": ("Register", "Submit Registration"),
    "Customisation": ("Settings", "Save Settings"),
    "Streaming": ("NextSong",),
    "Advertising": ("PlayAd",),
    "Error": ("Error",),
    "Authentication": ("Login", "Logout"),
    "Subscription": (
        "Upgrade", "Submit Upgrade", "Downgrade", "Submit Downgrade", "Cancel", "Cancellation Confirmation",
    ),
}


def first_deliveries(columns: str, source: str, where: str) -> str:
    """The events without repeated deliveries: the few that came more than once are found by their key alone."""
    key = 'ts, "sessionId", "itemInSession"'
    return f"""
        with repeated as (
            select {key} from {source} where {where} group by {key} having count(*) > 1
        ),
        winners as (
            select {key}, arg_min((_partition, _offset), (_ingested_at, _partition, _offset)) as place
            from {source} semi join repeated using ({key})
            where {where}
            group by {key}
        )
        select {columns}
        from {source} as raw
        left join winners using ({key})
        where {where} and (winners.place is null or winners.place = (raw._partition, raw._offset))
    """


MODELS = {
    "stg_users": """
        select
            "userId" as user_id, make_timestamp(ts * 1000) as first_event_datetime, "firstName" as first_name,
            "lastName" as last_name, gender, lower(level) as level,
            make_timestamp(registration * 1000) as registration_datetime, _ingested_at
        from user_info
        where "userId" is not null
        qualify row_number() over (partition by "userId" order by _ingested_at, _partition, _offset) = 1
    """,
    "stg_status_change_events": """
        select make_timestamp(ts * 1000) as event_datetime, "userId" as user_id, lower(level) as prev_level, _ingested_at
        from status_change_events
        where "userId" is not null
        qualify row_number() over (partition by "userId", ts order by _ingested_at, _partition, _offset) = 1
    """,
    "stg_listen_events": first_deliveries(
        """make_timestamp(ts * 1000) as event_datetime, make_timestamp(ts * 1000)::date as event_date,
           "userId" as user_id, "sessionId" as session_id, "itemInSession" as item_in_session, zip as postal_code,
           coalesce(city, 'NO CITY') as city, coalesce(state, 'NO STATE') as state, lower(level) as level,
           replace(song, '"', '') as song, artist, round(duration, 2) as duration, _ingested_at""",
        "listen_events",
        '"userId" is not null',
    ),
    "stg_page_view_events": first_deliveries(
        """make_timestamp(ts * 1000) as event_datetime, make_timestamp(ts * 1000)::date as event_date,
           "userId" as user_id, "sessionId" as session_id, "itemInSession" as item_in_session, page,
           lower(level) as level, "userAgent" as user_agent, ad_revenue::decimal(12, 4) as ad_revenue, _ingested_at""",
        "page_view_events",
        """auth = 'Logged In' and "userId" is not null""",
    ),
    "dim_users": f"""
        with changes as (
            select c.user_id, c.event_datetime, if(c.prev_level = 'free', 'paid', 'free') as level, c._ingested_at
            from stg_status_change_events as c semi join stg_users using (user_id)
        ),
        starts as (
            select u.user_id, u.first_event_datetime as row_effective_datetime, u.level, null as change_ingested_at
            from stg_users as u
            anti join changes as c on c.user_id = u.user_id and c.event_datetime = u.first_event_datetime
            union all
            select user_id, event_datetime, level, _ingested_at from changes
        ),
        ranges as (
            select *, lead(row_effective_datetime) over w as next_datetime,
                lag(row_effective_datetime) over w is null as is_first
            from starts
            window w as (partition by user_id order by row_effective_datetime)
        )
        select
            md5(concat_ws('|', ranges.user_id, row_effective_datetime)) as pk_user, ranges.user_id,
            first_name, last_name, gender, ranges.level, registration_datetime, row_effective_datetime,
            coalesce(next_datetime, timestamp '9999-01-01') as row_expiration_datetime, is_first,
            next_datetime is null as is_current, change_ingested_at
        from ranges inner join stg_users using (user_id)
        union all
        select {UNKNOWN}, -1, 'Unknown', 'Unknown', null, null, null, timestamp '1900-01-01', timestamp '9999-01-01',
            true, true, null
    """,
    "dim_songs": f"""
        select md5(concat_ws('|', artist, replace(title, '"', ''))) as pk_song, track_id::varchar as track_id,
            replace(title, '"', '') as title, artist, round(duration, 2) as duration,
            coalesce(genre, 'Unknown') as genre
        from songs
        qualify row_number() over (partition by replace(title, '"', ''), artist order by track_id) = 1
        union all
        select {UNKNOWN}, 'unknown', 'Unknown', 'Unknown', null, 'Unknown'
    """,
    "dim_locations": f"""
        select md5(concat_ws('|', country_code, postal_code)) as pk_location, country_code, postal_code, city, state,
            state_code, county
        from locations
        qualify row_number() over (partition by postal_code order by country_code, city, county) = 1
        union all
        select {UNKNOWN}, 'unknown', 'unknown', 'NO CITY', 'NO STATE', 'unknown', 'unknown'
    """,
    "dim_pages": "select md5(page) as pk_page, page, category from (values "
    + ", ".join(f"('{page}', '{category}')" for category, pages in PAGES.items() for page in pages)
    + f") as pages(page, category) union all select {UNKNOWN}, 'Unknown', 'Unknown'",
    "fact_listen_events": f"""
        select
            l.event_datetime, l.event_date, l.user_id, l.session_id, l.item_in_session,
            coalesce(u.pk_user, {UNKNOWN}) as pk_user, coalesce(s.pk_song, {UNKNOWN}) as pk_song,
            coalesce(p.pk_location, {UNKNOWN}) as pk_location, l.duration, l._ingested_at,
            u.change_ingested_at as _change_ingested_at
        from stg_listen_events as l
        left join dim_users as u
            on u.user_id = l.user_id
            and if(u.is_first, timestamp '1900-01-01', u.row_effective_datetime) <= l.event_datetime
            and u.row_expiration_datetime > l.event_datetime
        left join dim_songs as s on s.title = l.song and s.artist = l.artist
        left join dim_locations as p on p.postal_code = l.postal_code
    """,
    "fact_session_events": f"""
        with sessions as (
            select
                session_id, user_id, min(event_datetime) as session_start_datetime,
                max(event_datetime) as session_end_datetime, arg_min(page, item_in_session) as entry_page,
                count(*) as num_pages_visited, count(*) filter (page = 'PlayAd') as num_ads_served,
                coalesce(sum(ad_revenue), 0)::decimal(12, 4) as total_ad_revenue, max(_ingested_at) as _ingested_at
            from stg_page_view_events
            group by session_id, user_id
        )
        select
            s.session_id, s.user_id, coalesce(u.pk_user, {UNKNOWN}) as pk_user,
            coalesce(p.pk_page, {UNKNOWN}) as pk_entry_page, s.session_start_datetime::date as session_date,
            s.session_start_datetime, s.session_end_datetime,
            (epoch_us(s.session_end_datetime) - epoch_us(s.session_start_datetime)) // 1000000 as session_seconds,
            s.num_pages_visited, s.num_ads_served, s.total_ad_revenue, s._ingested_at,
            u.change_ingested_at as _change_ingested_at
        from sessions as s
        left join dim_pages as p on p.page = s.entry_page
        left join dim_users as u
            on u.user_id = s.user_id
            and if(u.is_first, timestamp '1900-01-01', u.row_effective_datetime) <= s.session_start_datetime
            and u.row_expiration_datetime > s.session_start_datetime
    """,
    "daily_active_users": """
        with user_days as (
            select event_date, user_id,
                if(bool_or(level = 'paid') and coalesce(max(event_datetime) filter (level = 'paid')
                    >= max(event_datetime) filter (level = 'free'), true), 'paid', 'free') as level,
                max(_ingested_at) as _ingested_at
            from stg_page_view_events
            group by event_date, user_id
        )
        select event_date, level, count(*) as active_users, max(_ingested_at) as _ingested_at
        from user_days
        group by event_date, level
    """,
    "daily_ad_revenue": """
        select event_date, count(*) filter (page = 'PlayAd') as ads_served,
            coalesce(sum(ad_revenue), 0)::decimal(12, 4) as ad_revenue, max(_ingested_at) as _ingested_at
        from stg_page_view_events
        group by event_date
    """,
    "daily_kpis": f"""
        with steps as (
            select row_effective_datetime::date as metric_date, (level = 'free')::int as free, (level = 'paid')::int as paid
            from dim_users where user_id <> -1
            union all
            select row_expiration_datetime::date, -(level = 'free')::int, -(level = 'paid')::int
            from dim_users where user_id <> -1 and not is_current
            union all
            select event_date, 0, 0 from daily_ad_revenue
        ),
        users as (
            select metric_date, (sum(sum(free)) over (order by metric_date))::bigint as free_users,
                (sum(sum(paid)) over (order by metric_date))::bigint as paid_users
            from steps
            group by metric_date
        ),
        revenue as (
            select metric_date, coalesce(sum(ad_revenue), 0) as ad_revenue_of_week
            from users left join daily_ad_revenue
                on event_date between metric_date - 6 and metric_date
            group by metric_date
        )
        select
            metric_date, free_users + paid_users as total_users, free_users, paid_users,
            paid_users::double / nullif(free_users + paid_users, 0) as conversion_rate,
            (paid_users * {PRICE_PER_WEEK}::decimal(8, 3))::decimal(20, 3) as weekly_recurring_revenue,
            ad_revenue_of_week::decimal(20, 4) as ad_revenue_of_week,
            ad_revenue_of_week::double / nullif(free_users, 0) as ad_revenue_per_free_user
        from users inner join revenue using (metric_date)
    """,
    "daily_song_streams": """
        select event_date, pk_song, count(*) as streams, max(_ingested_at) as _ingested_at
        from fact_listen_events
        group by event_date, pk_song
    """,
    "daily_state_song_streams": """
        select f.event_date, p.state, f.pk_song, count(*) as streams, max(f._ingested_at) as _ingested_at
        from fact_listen_events as f inner join dim_locations as p using (pk_location)
        group by f.event_date, p.state, f.pk_song
    """,
    "daily_genre_streams": """
        select d.event_date, d.state, s.genre, sum(d.streams)::bigint as streams, max(d._ingested_at) as _ingested_at
        from daily_state_song_streams as d inner join dim_songs as s using (pk_song)
        group by d.event_date, d.state, s.genre
    """,
    "daily_hour_streams": """
        select f.event_date, p.state, hour(f.event_datetime) as hour_of_day, count(*) as streams,
            max(f._ingested_at) as _ingested_at
        from fact_listen_events as f inner join dim_locations as p using (pk_location)
        group by f.event_date, p.state, hour(f.event_datetime)
    """,
}


def scorecard(figure: str) -> str:
    return f"""
        with days as (select metric_date, {figure} as figure from daily_kpis where metric_date <= $period_end)
        select
            (select figure from days order by metric_date desc limit 1) as value,
            (select figure from days where metric_date <= $period_end - 7 order by metric_date desc limit 1) as previous
        from (select $period_start as period_start)
    """


IN_STATES = "(len($states) = 0 or list_contains($states, state))"
PLAYS = """
    select pk_song, streams from daily_song_streams
    where len($states) = 0 and event_date between $period_start and $period_end
    union all
    select pk_song, streams from daily_state_song_streams
    where list_contains($states, state) and event_date between $period_start and $period_end
"""
QUERIES = {
    ("kpi", "total_users"): scorecard("total_users"),
    ("kpi", "conversion_rate"): scorecard("conversion_rate"),
    ("kpi", "weekly_recurring_revenue"): scorecard("weekly_recurring_revenue"),
    ("kpi", "ad_revenue_per_free_user"): scorecard("ad_revenue_per_free_user"),
    ("kpi", "daily_active_users"): """
        select event_date, level, active_users from daily_active_users
        where event_date between $period_start and $period_end order by event_date, level
    """,
    ("kpi", "daily_advertising_revenue"): """
        select event_date, ad_revenue from daily_ad_revenue
        where event_date between $period_start and $period_end order by event_date
    """,
    ("charts", "top_genres"): f"""
        with genres as (
            select genre, sum(streams) as streams from daily_genre_streams
            where event_date between $period_start and $period_end and {IN_STATES}
            group by genre
        ),
        ranked as (select *, row_number() over (order by streams desc, genre) as place from genres)
        select if(place <= 5, genre, 'Others') as name, sum(streams) as streams
        from ranked group by name order by min(place)
    """,
    ("charts", "top_songs"): f"""
        with leaders as (
            select pk_song, sum(streams) as streams from ({PLAYS})
            group by pk_song order by streams desc, pk_song limit 100
        )
        select title, artist, streams from leaders inner join dim_songs using (pk_song) order by streams desc, pk_song
    """,
    ("charts", "top_artists"): f"""
        with played as (select pk_song, sum(streams) as streams from ({PLAYS}) group by pk_song)
        select artist, sum(streams) as streams from played inner join dim_songs using (pk_song)
        group by artist order by streams desc, artist limit 10
    """,
    ("charts", "listens_by_hour"): f"""
        select hour_of_day, sum(streams) as streams from daily_hour_streams
        where event_date between $period_start and $period_end and {IN_STATES}
        group by hour_of_day order by hour_of_day
    """,
    ("charts", "listens_by_state"): f"""
        select state, sum(streams) as streams from daily_genre_streams
        where event_date between $period_start and $period_end and {IN_STATES}
        group by state order by streams desc, state
    """,
}


def delta_tables(lake: Path) -> dict[str, Path]:
    """Folders with a Delta log, by the name of the folder. A name that stands twice belongs to the source `events`."""
    tables: dict[str, Path] = {}
    for log in sorted(lake.rglob("_delta_log")):
        if log.parent.name not in tables or log.parent.parent.name == "events":
            tables[log.parent.name] = log.parent
    return tables


def open_sources(connection: duckdb.DuckDBPyConnection, lake: Path) -> int:
    """One view over the Parquet files of each raw table; returns how many rows the event streams have."""
    tables = delta_tables(lake)
    events = 0
    for name in SOURCES:
        if name not in tables:
            raise SystemExit(f"no Delta table {name} under {lake}")
        files = DeltaTable(str(tables[name])).file_uris()
        if not files:
            raise SystemExit(f"the Delta table {name} has no files")
        quoted = ", ".join("'" + file.removeprefix("file://").replace("'", "''") + "'" for file in files)
        connection.execute(f"create view {name} as select * from read_parquet([{quoted}], hive_partitioning = true)")
        rows = connection.execute(f"select count(*) from {name}").fetchone()[0]
        events += rows if name in SOURCES[:4] else 0
    return events


def build(connection: duckdb.DuckDBPyConnection) -> list[dict]:
    figures = []
    for name, sql in MODELS.items():
        began = time.perf_counter()
        connection.execute(f"create table {name} as {sql}")
        seconds = time.perf_counter() - began
        rows = connection.execute(f"select count(*) from {name}").fetchone()[0]
        figures.append({"name": name, "rows": rows, "seconds": round(seconds, 4)})
    return figures


def ask(connection: duckdb.DuckDBPyConnection, repeat: int) -> list[dict]:
    end = connection.execute("select max(metric_date) from daily_kpis").fetchone()[0]
    values = {"period_start": end - datetime.timedelta(days=29), "period_end": end, "states": []}
    figures = []
    for (dashboard, tile), sql in QUERIES.items():
        used = {name: value for name, value in values.items() if f"${name}" in sql}
        seconds, rows = [], 0
        for _ in range(repeat):
            began = time.perf_counter()
            rows = len(connection.execute(sql, used).fetchall())
            seconds.append(time.perf_counter() - began)
        median = round(statistics.median(seconds), 5)
        figures.append({"dashboard": dashboard, "tile": tile, "rows": rows, "seconds": median})
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lake", type=Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--memory", default="8GB")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="duckdb-music-") as folder:
        database = Path(folder) / "music.duckdb"
        connection = duckdb.connect(str(database))
        connection.execute(f"set threads = {arguments.threads}; set memory_limit = '{arguments.memory}'")
        connection.execute(f"set temp_directory = '{folder}/spill'; set timezone = 'UTC'")
        connection.execute("set preserve_insertion_order = false")
        events = open_sources(connection, arguments.lake)
        models = build(connection)
        queries = ask(connection, arguments.repeat)
        connection.execute("checkpoint")
        result = {
            "engine": "duckdb",
            "version": duckdb.__version__,
            "threads": arguments.threads,
            "events": events,
            "models": models,
            "build_seconds": round(sum(model["seconds"] for model in models), 4),
            "queries": queries,
            "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "database_bytes": database.stat().st_size,
        }
        connection.close()
    text = json.dumps(result, indent=2)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
