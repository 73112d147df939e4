#!/usr/bin/env python3
"""Recomputes the music project's facts and figures from the raw events, and compares them with its tables row for row.

    python reconcile_music.py LAKE_DIR

The SQL here shares nothing with the project's models: it is written for DuckDB, from the meaning of the tables, so that
an error would have to be made twice to go unseen. Keys are compared by what they stand for (user and moment, artist and
title, postal code), not by their bytes. Run it while nothing writes to the lake, after a build.
Prints one line for each table, the first differing rows, then `N passed, N failed`; exits 1 when anything failed.

Needs the packages deltalake and duckdb.
"""

import sys
from pathlib import Path

import duckdb
from deltalake import DeltaTable

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from project import Outcome  # noqa: E402

PRICE_PER_WEEK = "1.245"

# Distinct events of logged-in users; a repeated delivery has the same time, session and place in the session.
RAW = """
create view listens as
select distinct on (ts, "sessionId", "itemInSession")
    make_timestamp(ts * 1000) as moment, "userId" as user_id, "sessionId" as session_id, "itemInSession" as item, zip, artist,
    replace(song, '"', '') as song, duration
from listen_events where "userId" is not null;

create view views as
select distinct on (ts, "sessionId", "itemInSession")
    make_timestamp(ts * 1000) as moment, "userId" as user_id, "sessionId" as session_id, "itemInSession" as item, page,
    lower(level) as level, ad_revenue::decimal(12, 4) as ad_revenue
from page_view_events where "userId" is not null and auth = 'Logged In';

create view announced as
select "userId" as user_id, make_timestamp(min(ts) * 1000) as since, min(lower(level)) as level
from user_info where "userId" is not null group by "userId";

create table moves as
select user_id, moment, level from (
    select user_id, since as moment, level, 0 as change from announced
    union all
    select distinct "userId", make_timestamp(ts * 1000), if(lower(c.level) = 'paid', 'free', 'paid'), 1
    from status_change_events as c semi join announced on announced.user_id = c."userId"
) qualify row_number() over (partition by user_id, moment order by change desc) = 1;

create table tracks as
select distinct artist, replace(title, '"', '') as title, first_value(coalesce(genre, 'Unknown')) over (
    partition by artist, replace(title, '"', '') order by track_id) as genre
from songs;

create table places as select postal_code, min(state) as state from locations group by postal_code;

create table days as
select moment::date as day from views union select moment::date from moves;
"""

# Before a user's first move the user is what that move made of him or her.
AS_OF = """
    left join (select user_id, min(moment) as first_at from moves group by user_id) as known using (user_id)
    asof left join moves as m on m.user_id = e.user_id and m.moment <= greatest(e.moment, known.first_at)
"""

PLAYED = """
    select l.moment, l.moment::date as day, hour(l.moment) as hour, coalesce(p.state, 'NO STATE') as state,
        coalesce(t.artist, 'Unknown') as artist, coalesce(t.title, 'Unknown') as title,
        coalesce(t.genre, 'Unknown') as genre
    from listens as l
    left join places as p on p.postal_code = l.zip
    left join tracks as t on t.artist = l.artist and t.title = l.song
"""

# What a table should hold: (from the raw events, from the table).
COMPARISONS = {
    "dim_users": (
        """select user_id, moment, coalesce(lead(moment) over (partition by user_id order by moment), timestamp '9999-01-01') as until,
               level
           from moves""",
        """select user_id, row_effective_datetime, row_expiration_datetime, level
           from model_dim_users where user_id <> -1""",
    ),
    "fact_listen_events": (
        f"""select e.moment, e.user_id, e.session_id, e.item, m.moment as user_since, m.level, t.artist, t.title, p.postal_code,
                round(e.duration, 2) as duration
            from listens as e {AS_OF}
            left join tracks as t on t.artist = e.artist and t.title = e.song
            left join places as p on p.postal_code = e.zip""",
        """select f.event_datetime, f.user_id, f.session_id, f.item_in_session,
               if(u.user_id = -1, null, u.row_effective_datetime), u.level, if(s.track_id = 'unknown', null, s.artist),
               if(s.track_id = 'unknown', null, s.title), if(l.state = 'NO STATE', null, l.postal_code), f.duration
           from model_fact_listen_events as f
           inner join model_dim_users as u using (pk_user)
           inner join model_dim_songs as s using (pk_song)
           inner join model_dim_locations as l using (pk_location)""",
    ),
    "fact_session_events": (
        f"""with e as (
                select session_id, user_id, min(moment) as moment, max(moment) as until, arg_min(page, item) as entry_page,
                    count(*) as pages, count(*) filter (page = 'PlayAd') as ads, coalesce(sum(ad_revenue), 0) as revenue
                from views group by session_id, user_id
            )
            select e.session_id, e.user_id, e.moment, (epoch_us(e.until) - epoch_us(e.moment)) // 1000000 as seconds,
                e.entry_page, e.pages, e.ads, e.revenue::decimal(12, 4) as revenue, m.moment as user_since
            from e {AS_OF}""",
        """select f.session_id, f.user_id, f.session_start_datetime, f.session_seconds, p.page, f.num_pages_visited,
               f.num_ads_served, f.total_ad_revenue::decimal(12, 4), if(u.user_id = -1, null, u.row_effective_datetime)
           from model_fact_session_events as f
           inner join model_dim_users as u using (pk_user)
           inner join model_dim_pages as p on p.pk_page = f.pk_entry_page""",
    ),
    "daily_active_users": (
        """with last_views as (
               select moment::date as day, user_id, arg_max(level, (moment, level)) as level from views group by day, user_id
           )
           select day, level, count(*) as users from last_views group by day, level""",
        "select event_date, level, active_users from model_daily_active_users",
    ),
    "daily_ad_revenue": (
        """select moment::date as day, count(*) filter (page = 'PlayAd') as ads,
               coalesce(sum(ad_revenue), 0)::decimal(12, 4) as revenue
           from views group by day""",
        "select event_date, ads_served, ad_revenue::decimal(12, 4) from model_daily_ad_revenue",
    ),
    "daily_kpis": (
        f"""with states as (
                select day, user_id, arg_max(level, moment) as level
                from days inner join moves on moves.moment < day + interval 1 day
                group by day, user_id
            ),
            counts as (
                select day, count(*) as users, count(*) filter (level = 'paid') as paid from states group by day
            ),
            earned as (
                select day, coalesce(sum(ad_revenue), 0) as revenue
                from days left join views on views.moment::date between day - 6 and day
                group by day
            )
            select day, users, users - paid as free, paid, round(paid / users, 9) as conversion,
                (paid * {PRICE_PER_WEEK}::decimal(8, 3))::decimal(20, 3) as recurring,
                revenue::decimal(20, 4) as revenue, round(revenue::double / nullif(users - paid, 0), 9) as per_free_user
            from counts inner join earned using (day)""",
        """select metric_date, total_users, free_users, paid_users, round(conversion_rate, 9),
               weekly_recurring_revenue::decimal(20, 3), ad_revenue_of_week::decimal(20, 4),
               round(ad_revenue_per_free_user, 9)
           from model_daily_kpis where total_users > 0""",
    ),
    "daily_song_streams": (
        f"select day, artist, title, count(*) as streams from ({PLAYED}) group by day, artist, title",
        """select event_date, artist, title, streams
           from model_daily_song_streams inner join model_dim_songs using (pk_song)""",
    ),
    "daily_state_song_streams": (
        f"select day, state, artist, title, count(*) as streams from ({PLAYED}) group by day, state, artist, title",
        """select event_date, state, artist, title, streams
           from model_daily_state_song_streams inner join model_dim_songs using (pk_song)""",
    ),
    "daily_genre_streams": (
        f"select day, state, genre, count(*) as streams from ({PLAYED}) group by day, state, genre",
        "select event_date, state, genre, streams from model_daily_genre_streams",
    ),
    "daily_hour_streams": (
        f"select day, state, hour, count(*) as streams from ({PLAYED}) group by day, state, hour",
        "select event_date, state, hour_of_day, streams from model_daily_hour_streams",
    ),
}
SOURCES = ("listen_events", "page_view_events", "status_change_events", "user_info", "songs", "locations")
DIMENSIONS = ("dim_songs", "dim_locations", "dim_pages")


def delta_tables(lake: Path) -> dict[str, Path]:
    """Folders with a Delta log, by the name of the folder. A name that stands twice belongs to the source `events`."""
    tables: dict[str, Path] = {}
    for log in sorted(lake.rglob("_delta_log")):
        if log.parent.name not in tables or log.parent.parent.name == "events":
            tables[log.parent.name] = log.parent
    return tables


def open_table(connection: duckdb.DuckDBPyConnection, view: str, folder: Path) -> None:
    """A view over the files of the table's latest version; its timestamps are those of UTC."""
    table = DeltaTable(str(folder))
    files = ", ".join("'" + uri.removeprefix("file://").replace("'", "''") + "'" for uri in table.file_uris())
    if not files:
        raise SystemExit(f"{folder}: the table is empty")
    connection.execute(
        f"create view {view} as select * from read_parquet([{files}], hive_partitioning = true, union_by_name = true)"
    )
    zoned = [
        row[0] for row in connection.execute(f"describe {view}").fetchall() if row[1] == "TIMESTAMP WITH TIME ZONE"
    ]
    if zoned:
        replaced = ", ".join(f'"{column}"::timestamp as "{column}"' for column in zoned)
        connection.execute(f"alter view {view} rename to stored_{view}")
        connection.execute(f"create view {view} as select * replace ({replaced}) from stored_{view}")


def differences(connection: duckdb.DuckDBPyConnection, expected: str, found: str) -> tuple[int, list[str]]:
    """Rows compared, and what differs. Columns are matched by position; rows are counted, so repetitions show."""
    connection.execute(f"create or replace temp table expected as {expected}")
    names = [row[0] for row in connection.execute("describe expected").fetchall()]
    connection.execute(f"create or replace temp table found({', '.join(names)}) as {found}")
    rows = connection.execute("select count(*) from expected").fetchone()[0]
    problems = []
    for label, more, less in (("missing", "expected", "found"), ("unexpected", "found", "expected")):
        difference = f"select * from {more} except all select * from {less}"
        count = connection.execute(f"select count(*) from ({difference})").fetchone()[0]
        sample = connection.execute(f"select * from ({difference}) limit 3").fetchall()
        problems += [f"{count} rows {label}, for example {row}" for row in sample]
    return rows, problems


def opened(lake: Path, models: tuple[str, ...] = ()) -> duckdb.DuckDBPyConnection:
    """The raw events as views, and models as `model_<name>`."""
    tables = delta_tables(lake)
    if missing := [name for name in (*SOURCES, *models) if name not in tables]:
        raise SystemExit(f"not in the lake: {', '.join(missing)}")
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    for name in SOURCES:
        open_table(connection, name, tables[name])
    for name in models:
        open_table(connection, f"model_{name}", tables[name])
    connection.execute(RAW)
    return connection


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    connection = opened(Path(sys.argv[1]), (*COMPARISONS, *DIMENSIONS))
    outcome = Outcome()
    for name, (expected, found) in COMPARISONS.items():
        rows, problems = differences(connection, expected, found)
        print(f"{name}: {rows} rows, {'equal' if not problems else 'different'}")
        outcome.hold(name, ["\n".join(problems)] if problems else [])
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
