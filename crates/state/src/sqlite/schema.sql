-- State database, schema 1.
--
-- Constraints: SQLite >= 3.51.3, WAL, synchronous = FULL, one writer process (the data directory's lock), foreign keys on.
-- All times are microseconds since 1970-01-01T00:00:00Z, UTC. Statuses are words, checked here as well as in the program.
-- Invariants:
--   run.id never repeats (AUTOINCREMENT), it is the sequence a model's lake commit carries.
--   A status changes only by UPDATE ... WHERE status = <expected> AND owner = <mine>; zero rows is a conflict.
--   published rows of one run change in the transaction that sets the run to `succeeded`.
--   (schedule, logical_time) exists once; a tick has either a run or a reason, never both, never neither.
--   lease.epoch only grows, also over expiry and release.

CREATE TABLE schema_version (
    version    INTEGER PRIMARY KEY,
    applied_at INTEGER NOT NULL
) STRICT;

CREATE TABLE run (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    job         TEXT,
    command     TEXT NOT NULL,
    trigger     TEXT NOT NULL,
    selection   TEXT NOT NULL,
    attempt     INTEGER NOT NULL CHECK (attempt >= 1),
    -- boot id of the process that works on it; a zombie's updates match no row
    owner       TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'crashed')),
    queued_at   INTEGER NOT NULL,
    started_at  INTEGER,
    finished_at INTEGER,
    message     TEXT
) STRICT;
CREATE INDEX run_by_open_status ON run (status, id) WHERE status IN ('queued', 'running');

CREATE TABLE step (
    run           INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    node          TEXT NOT NULL,
    kind          TEXT NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('pending', 'running', 'succeeded', 'warn', 'failed', 'skipped',
                                                  'unchanged', 'cancelled', 'crashed')),
    ordinal       INTEGER NOT NULL,
    started_at    INTEGER,
    finished_at   INTEGER,
    rows          INTEGER,
    message       TEXT,
    compiled_path TEXT,
    table_version INTEGER,
    PRIMARY KEY (run, node)
) STRICT, WITHOUT ROWID;

CREATE TABLE test_result (
    run      INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    node     TEXT NOT NULL,
    tested   TEXT,
    outcome  TEXT NOT NULL CHECK (outcome IN ('pass', 'warn', 'fail', 'error')),
    severity TEXT NOT NULL CHECK (severity IN ('warn', 'error')),
    failures INTEGER NOT NULL CHECK (failures >= 0),
    message  TEXT,
    at       INTEGER NOT NULL,
    PRIMARY KEY (node, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX test_result_by_run ON test_result (run);

-- What a name (schema.table) stands for: one version of the table, or the result of a query.
CREATE TABLE published (
    name     TEXT PRIMARY KEY,
    version  INTEGER CHECK (version >= 0),
    view_sql TEXT,
    run      INTEGER NOT NULL REFERENCES run (id),
    at       INTEGER NOT NULL,
    CHECK ((version IS NULL) <> (view_sql IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX published_by_run ON published (run);

-- What the published version of a node was made from; equal code and inputs need no new version.
CREATE TABLE fingerprint (
    node           TEXT PRIMARY KEY,
    code_hash      TEXT NOT NULL,
    -- JSON object: input name -> table version
    inputs         TEXT NOT NULL,
    output_version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE schedule (
    name       TEXT PRIMARY KEY,
    definition TEXT NOT NULL,
    -- ticks due at or before this time are nobody's
    since      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tick (
    schedule     TEXT NOT NULL REFERENCES schedule (name),
    logical_time INTEGER NOT NULL,
    -- not a reference: pruned runs leave their ticks
    run          INTEGER,
    skipped      TEXT,
    recorded_at  INTEGER NOT NULL,
    PRIMARY KEY (schedule, logical_time),
    CHECK ((run IS NULL) <> (skipped IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE lease (
    name       TEXT PRIMARY KEY,
    owner      TEXT NOT NULL,
    epoch      INTEGER NOT NULL CHECK (epoch >= 1),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE pin (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
