#!/usr/bin/env python3
"""Every figure of the music project's two dashboards, from its raw events alone.

    echo '[{"start": "2026-11-01", "end": "2026-11-14", "states": []}]' | python music_figures.py LAKE_DIR

Reads a list of choices from standard input and prints, for each, what every tile should show: a list of rows per tile,
integers and exact decimals as text. The SQL is DuckDB's and starts from the events as they came in; it shares its reading
of them with `reconcile_music.py`, and nothing with the project's models or dashboards. The browser tests compare the pages
with it.

Needs the packages deltalake and duckdb.
"""

import json
import sys
from pathlib import Path

import duckdb
from reconcile_music import PLAYED, PRICE_PER_WEEK, opened

# The listens chosen. A state is chosen by its name; none chosen means all.
CHOSEN = f"""
create or replace temp table chosen as
select * from ({PLAYED}) where day between ?::date and ?::date and (len(?::varchar[]) = 0 or list_contains(?::varchar[], state))
"""

RANKED_GENRES = "select genre, count(*) as streams, row_number() over (order by count(*) desc, genre) as place from chosen group by genre"

CHARTS = {
    "top_genres": f"""
        select if(place <= 5, genre, 'Others') as name, sum(streams)::bigint from ({RANKED_GENRES}) group by name
        order by min(place)""",
    "listens_by_hour": "select hour, count(*) from chosen group by hour order by hour",
    # Which of the songs with as many streams as the hundredth stand in the table is left open: all of them are told.
    "top_songs": """
        with songs as (select title, artist, count(*) as streams from chosen group by title, artist)
        select * from songs qualify streams >= coalesce(nth_value(streams, 100) over (
            order by streams desc rows between unbounded preceding and unbounded following), 0)
        order by streams desc""",
    "top_artists": "select artist, count(*) as streams from chosen group by artist order by streams desc, artist limit 10",
    "listens_by_state": "select state, count(*) as streams from chosen group by state order by streams desc, state",
}

# At the end of a day: users known by then, those of them who pay, and what ads earned in the seven days up to it.
BUSINESS = f"""
with standing as (
    select user_id, arg_max(level, moment) as level from moves where moment < ?::date + interval 1 day group by user_id
),
counts as (select count(*) as users, count(*) filter (level = 'paid') as paid from standing),
earned as (
    select coalesce(sum(ad_revenue), 0) as revenue from views where moment::date between ?::date - 6 and ?::date
)
select users, paid / nullif(users, 0), (paid * {PRICE_PER_WEEK}::decimal(8, 3))::decimal(20, 3)::varchar,
    revenue::double / nullif(users - paid, 0)
from counts, earned
"""
SCORECARDS = ("total_users", "conversion_rate", "weekly_recurring_revenue", "ad_revenue_per_free_user")

DAILY = {
    "daily_active_users": """
        with last_views as (
            select moment::date as day, user_id, arg_max(level, (moment, level)) as level
            from views where moment::date between ?::date and ?::date group by day, user_id
        )
        select day::varchar, level, count(*) from last_views group by day, level order by day, level""",
    "daily_advertising_revenue": """
        select moment::date::varchar as day, coalesce(sum(ad_revenue), 0)::decimal(12, 4)::varchar
        from views where moment::date between ?::date and ?::date group by day order by day""",
}


def business(connection: duckdb.DuckDBPyConnection, day: str) -> tuple:
    return connection.execute(BUSINESS, [day, day, day]).fetchone()


def figures(connection: duckdb.DuckDBPyConnection, start: str, end: str, states: list[str]) -> dict:
    """What every tile of both dashboards should show."""
    connection.execute(CHOSEN, [start, end, states, states])
    charts = {name: connection.execute(sql).fetchall() for name, sql in CHARTS.items()}
    charts["leading_states"] = charts["listens_by_state"]
    # A period that ends in the future ends, for what is counted at its end, with the last day there is.
    last = connection.execute("select least(?::date, max(day))::varchar from days", [end]).fetchone()[0]
    before = connection.execute("select (?::date - 7)::varchar", [last]).fetchone()[0]
    now, then = business(connection, last), business(connection, before)
    kpi = {name: [[now[place], then[place]]] for place, name in enumerate(SCORECARDS)}
    kpi |= {name: connection.execute(sql, [start, end]).fetchall() for name, sql in DAILY.items()}
    return {"charts": charts, "kpi": kpi}


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    connection = opened(Path(sys.argv[1]))
    answers = [figures(connection, one["start"], one["end"], one["states"]) for one in json.load(sys.stdin)]
    json.dump(answers, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
