-- State database, schema 2: what is held back.

-- A source, or one of its tables as schema.table; it is not taken in before somebody lets it go on.
CREATE TABLE paused (
    name TEXT PRIMARY KEY,
    at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
