// Made by `cargo xtask types` from crates/server/src/wire. Do not edit.

/** Any JSON value. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** An integer with all its digits: a number up to 2^53 - 1 in size, a string of digits beyond. */
export type Integer = number | string;

/** The body of every refusal. */
export interface ErrorBody {
  error: Error;
}

export interface Error {
  message: string;
  detail: string | null;
  hint: string | null;
  /** `user`, `external`, `exhausted`, `conflict` or `internal`; `unauthenticated` (401) and `forbidden` (403) for who asks. */
  kind: string;
}

/** One tile answered with the filters' defaults. Either `result` or `error` is there. */
export interface DashboardAnswer {
  dashboard: string;
  dashboard_title: string;
  tile: string;
  title: string;
  kind: string;
  unit: string | null;
  seconds: number;
  result: Rows | null;
  error: Error | null;
}

export interface Assets {
  nodes: Node[];
  tables: Table[];
}

/** `node` or `table` is there, or both. */
export interface Asset {
  node: Node | null;
  table: Table | null;
  /** As the project's files describe them; the types are those of `table`. */
  column_descriptions: Record<string, string>;
  /** The newest first, as far as the table's log still tells. */
  versions: TableCommit[];
  tests: AssetTest[];
  /** As written, and as it ran. */
  raw_sql: string | null;
  compiled_sql: string | null;
  /** Why it does not compile now. */
  compile_error: Error | null;
  upstream: AssetLink[];
  downstream: AssetLink[];
}

/** Columns of one node and of its whole family, by node id. */
export interface ColumnLineage {
  node: string;
  nodes: Record<string, NodeColumns>;
}

/** Columns of a node, in order, told from its SQL. */
export interface NodeColumns {
  name: string;
  kind: string;
  relation: string | null;
  columns: NodeColumn[];
  /** Why nothing can be said of its columns. */
  unknown: string | null;
  /** What is wrong with its SQL. */
  problem: Error | null;
}

export interface NodeColumn {
  name: string;
  data_type: string;
  /** Its origins as they are, not computed from them. */
  is_copy: boolean;
  origins: ColumnOrigin[];
}

export interface ColumnOrigin {
  /** Id of the node that makes the relation; none for a table the project does not make. */
  node: string | null;
  relation: string;
  column: string;
}

export interface AssetLink {
  /** A node's id, `dashboard.d` or `tile.d.t`. */
  id: string;
  name: string;
  /** `model`, `seed`, `source`, `test`, `tile`. */
  kind: string;
}

/** One version of a table. */
export interface TableCommit {
  version: Integer;
  at: string | null;
  /** Rows this commit wrote. */
  rows_written: Integer | null;
  /** The run that made it. */
  run: Integer | null;
  /** What wrote it: `WRITE`, `MERGE`, `OPTIMIZE`, ... */
  operation: string | null;
}

export interface Node {
  id: string;
  name: string;
  resource_type: string;
  path: string;
  materialized: string | null;
  description: string;
  tags: string[];
  depends_on: string[];
  relation: string | null;
}

export interface CompiledNode {
  id: string;
  name: string;
  sql: string;
}

export interface Table {
  name: string;
  is_view: boolean;
  version: Integer;
  rows: Integer | null;
  bytes: Integer;
  files: Integer;
  columns: Column[];
  partition_columns: string[];
  /** Why nothing more is known of it. */
  error: Error | null;
}

export interface Column {
  name: string;
  data_type: string;
}

export interface DashboardSummary {
  name: string;
  title: string;
  description: string | null;
}

/** A page of tiles with filters above them, as its file defines it. */
export interface Dashboard {
  name: string;
  title: string;
  description: string | null;
  /** Empty when the page has no tabs. */
  tabs: Tab[];
  filters: Filter[];
  /** In reading order. */
  tiles: Tile[];
}

export interface Tab {
  name: string;
  title: string;
}

export type FilterKind =
  | "date_range"
  | "select"
  | "multi_select"
  | "text"
  | "number_range";

export interface Filter {
  name: string;
  title: string;
  kind: FilterKind;
  /**
   * The value that holds when the viewer chose none, in the form a request takes. A date range: the name of a preset,
   * or two dates `2026-01-01..2026-01-31`. A select or text: a text, empty for all. A multi-select: a list of texts,
   * empty for all. A number range: two numbers or nulls.
   */
  default: Json;
  /** Of a date range: the named ranges, each with the days it means today, in UTC. */
  presets: DatePreset[];
  /** Choices of a select or multi-select: those of the file, or those its query found now. */
  options: string[] | null;
  /** More choices exist than are listed. */
  options_truncated: boolean;
  /** Why the query for the choices failed. */
  options_error: Error | null;
  /** Of a number range: the ends of its slider, when the file names them. */
  min: number | null;
  max: number | null;
}

export interface DatePreset {
  name: string;
  /** `2026-01-31`, included. */
  start: string;
  /** `2026-01-31`, included. */
  end: string;
}

export type TileKind =
  | "number"
  | "table"
  | "line"
  | "area"
  | "bars"
  | "horizontal_bars"
  | "donut"
  | "pie"
  | "heat_map"
  | "scatter"
  | "histogram"
  | "combo"
  | "band"
  /** Figures by region. */
  | "map"
  /** Figures at coordinates. */
  | "point_map"
  | "text";

export type NumberFormat =
  | "integer"
  | "decimal"
  | "compact"
  | "percent"
  | "dollars";

/** How the series of bars and areas stand to each other. */
export type Stacking =
  /** Beside each other; areas over each other. */
  | "grouped"
  /** On each other. */
  | "stacked"
  /** On each other, as shares of their sum. */
  | "normalised";

/** Where a tile stands in a grid of twelve columns; columns and rows count from 0. */
export interface Grid {
  column: number;
  row: number;
  width: number;
  height: number;
}

/** One tile's definition. What a kind does not use is null, false or empty. */
export interface Tile {
  name: string;
  title: string;
  description: string | null;
  kind: TileKind;
  /** Null when the page has no tabs. */
  tab: string | null;
  /** Counted from the top of its tab. */
  grid: Grid;
  /** Column along the horizontal axis, or of the names of slices, bars, regions or points. */
  x: string | null;
  /** Columns of the figures. */
  y: string[];
  /** Columns of a combo drawn as lines on a second axis, at the right. */
  y_right: string[];
  /** Column whose values part the rows into lines, stacks or colours. */
  series: string | null;
  /** Columns of the lower and upper edge of a band. */
  lower: string | null;
  upper: string | null;
  /** Columns of the coordinates of a point map, in degrees. */
  latitude: string | null;
  longitude: string | null;
  /** Column of the size of the marks of a scatter or point map. */
  size: string | null;
  /** The set of regions of a map: `us_states` (names or two-letter codes). */
  regions: string | null;
  /** Column a number is compared with. */
  compare: string | null;
  /** What it is compared with, in words: `a week earlier`. */
  compare_title: string | null;
  /** Whether a rise is good; null when neither. */
  rise_is_good: boolean | null;
  unit: string | null;
  unit_right: string | null;
  /** Of the figures; null means: follow the unit and the type. */
  format: NumberFormat | null;
  stacking: Stacking;
  /** Columns of a table in order, with how each is shown. */
  columns: TableColumn[];
  /** Columns of the answer that are not listed are shown too, after those that are. */
  other_columns: boolean;
  page_size: number | null;
  /** Column a table is sorted by at first; as the query sorts when null. */
  sort: Sort | null;
  /** Most slices or bars shown; the rest are added up as Others. */
  top: number | null;
  /** Bars of a histogram whose query gives plain values. */
  bins: number | null;
  /** Words of a text tile; never markup. */
  text: string | null;
  /** Filters its answer depends on: when another changes, it need not be asked again. */
  filters: string[];
  /** What a click on a mark chooses. */
  select: Selects | null;
  /** `schema.table` of everything it reads, directly or through views: refresh it when one of them gets a new version. */
  tables: string[];
  /** The rows behind a mark can be asked for. */
  has_detail: boolean;
}

/** A click on a mark puts the mark's value of `column` into `filter`. */
export interface Selects {
  filter: string;
  column: string;
}

export interface TableColumn {
  column: string;
  title: string;
  unit: string | null;
  format: NumberFormat | null;
  /** Shaded by its figures, as a bar behind them. */
  heat: boolean;
  /** Added up in a last row. */
  total: boolean;
}

export interface Sort {
  column: string;
  descending: boolean;
}

/** The body of `POST /api/dashboards/{name}/tiles/{tile}`. Filters left out have their default. */
export interface TileRequest {
  /** Values by filter name, in the form of [`Filter::default`]. */
  filters?: Record<string, Json>;
}

/** The body of `POST /api/dashboards/{name}/tiles/{tile}/detail`: a tile's filters and the mark clicked. */
export interface DetailRequest {
  filters?: Record<string, Json>;
  /** Columns of the tile's answer and the mark's values of them, as the answer wrote them. */
  where?: Condition[];
}

export interface Condition {
  column: string;
  value: Json;
}

/** Name and type of a column of an answer. */
export interface RowColumn {
  name: string;
  /** As Arrow names it: `Int64`, `Decimal128(18, 2)`, `Utf8`, `Date32`, `Timestamp(µs, "UTC")`. */
  type: string;
}

/**
 * The rows of a query with the types beside them. Cells are exact: an integer is a JSON number up to 2^53 - 1 in size and
 * a string beyond; a decimal, `NaN` and the infinities are strings; dates and times are ISO 8601.
 */
export interface Rows {
  columns: RowColumn[];
  rows: Json[][];
  row_count: number;
  /** The query has more rows than are sent. */
  truncated: boolean;
}

export interface TileAnswer extends Rows {
  /** The tables it read, at the version it read. */
  versions: ReadVersion[];
  /** When the newest of these versions was published; null when none is known. */
  as_of: string | null;
  /** When the query ran: earlier than the request when the answer was kept. */
  computed_at: string;
  /** What the query took. */
  seconds: number;
  /** The answer was kept from an earlier request of anybody. */
  cached: boolean;
  tests: TestCounts;
  /** Records set aside on their way into the tables it stands on. */
  quarantined: Integer;
  /** Why newer data may exist than is shown; null when all is well. */
  stale: string | null;
  /** The chosen days of each date range, after presets were resolved. */
  periods: Record<string, Period>;
}

export interface Period {
  start: string;
  end: string;
}

export interface ReadVersion {
  table: string;
  version: Integer;
  at: string | null;
}

/** Last results of the tests on everything an answer stands on. */
export interface TestCounts {
  passed: number;
  warned: number;
  failed: number;
  /** Never run yet. */
  unknown: number;
}

/** One event. The event's name in the stream is its `event`. */
export type Event =
  /** The first of every connection. Another `boot` than before: the server was restarted, load everything anew. */
  | {
    event: "hello";
    boot: string;
  }
  /** Readers see a new version of a table or view (0 for a view; of an ingested table, the commits of this process). */
  | {
    event: "table";
    table: string;
    version: Integer;
    at: string;
  }
  /** A run was queued, started or ended. */
  | ({ event: "run" } & Run)
  /** A step of a running run started or ended. */
  | {
    event: "step";
    run: Integer;
    id: string;
    status: string;
  }
  /** Progress of an ingested table, at most once a second each. */
  | ({ event: "ingest" } & IngestProgress)
  /** This connection missed events: load everything anew. The stream ends after it. */
  | { event: "reload" };

export interface IngestProgress extends Pipeline {
  /** Over the last second; 0 while nobody listens to `GET /api/events`. */
  rows_per_second: number;
}

export interface Finding {
  /** `error` or `warning`. */
  severity: string;
  message: string;
  detail: string | null;
  hint: string | null;
  path: string | null;
  line: number | null;
  column: number | null;
}

export interface Diagnosis {
  check: string;
  /** `ok`, `warning` or `error`. */
  verdict: string;
  detail: string;
  hint: string | null;
}

export interface Home {
  project: string;
  version: string;
  started_at: string;
  now: string;
  generators: Generator[];
  pipelines: IngestProgress[];
  schedules: Schedule[];
  running: Run[];
  /** The newest first. */
  recent_runs: Run[];
  tables: Freshness[];
  /** Tests that fail or warn by their last result. */
  failing_tests: AssetTest[];
  /** Records in all quarantine tables. */
  quarantined: Integer;
  memory: Memory;
  disk: Disk;
  /** Parts that failed, and what to do. */
  problems: Diagnosis[];
}

export interface Memory {
  /** Of this process. */
  resident_bytes: Integer;
  machine_bytes: Integer;
}

export interface Disk {
  /** Newest versions of all tables. */
  tables_bytes: Integer;
  topics_bytes: Integer;
  /** Of the file system with the project. */
  free_bytes: Integer;
  total_bytes: Integer;
}

/** How new a table is. */
export interface Freshness {
  table: string;
  version: Integer;
  rows: Integer | null;
  bytes: Integer;
  /** When the version readers see was published; null for a table that is not built but ingested. */
  at: string | null;
}

/** A test with its last result. */
export interface AssetTest {
  id: string;
  name: string;
  /** `pass`, `warn`, `fail`, `error`; null when it never ran. */
  outcome: string | null;
  failures: Integer | null;
  message: string | null;
  at: string | null;
}

/**
 * Coordinates are in grid steps of one node: multiply them by the space a node takes. Left to right along `x`. What
 * `?hide=test,tile` and `?focus=ID&only=true` leave out of the picture is at 0, 0.
 */
export interface Lineage {
  nodes: LineageNode[];
  edges: LineageEdge[];
  /** Largest `x` and `y` plus one. */
  width: number;
  height: number;
}

export type LineageKind =
  | "source"
  | "seed"
  | "model"
  | "test"
  | "dashboard"
  | "tile";

export type LineageStatus =
  /** Built or ingesting, and its tests pass. */
  | "ok"
  /** A test of it warns, or its source retries. */
  | "warning"
  /** Its last step, test or pipeline failed, or something above it did. */
  | "failed"
  | "running"
  /** Nothing is known of it yet. */
  | "unknown";

export interface LineageNode {
  /** `source.p.s.t`, `model.p.m`, `seed.p.s`, `test.p.t`, `dashboard.d`, `tile.d.t`. */
  id: string;
  name: string;
  kind: LineageKind;
  status: LineageStatus;
  /** What the status says in words, when there is something to say. */
  message: string | null;
  /** `schema.table` when it stores or reads as one: the name of its asset page. */
  relation: string | null;
  /** `table`, `view`, `incremental`, ... for models. */
  materialized: string | null;
  /** Of a tile or dashboard. */
  dashboard: string | null;
  x: number;
  y: number;
}

export interface LineageEdge {
  from: string;
  to: string;
  /** Points between the two nodes a line should pass, from left to right. */
  via: LineagePoint[];
}

export interface LineagePoint {
  x: number;
  y: number;
}

/** `GET /api/quarantine`. */
export interface Quarantine {
  /** Records in all tables. */
  total: Integer;
  tables: QuarantineTable[];
}

export interface QuarantineTable {
  /** The quarantine table: `events.listens_quarantine`. */
  table: string;
  /** The table its records were meant for. */
  of: string;
  total: Integer;
  reasons: QuarantineReason[];
  /** Up to 20 of the newest records. */
  sample: Rows;
}

export interface QuarantineReason {
  reason: string;
  count: Integer;
  last_at: string | null;
}

/** The body of `POST /api/runs`. Everything may be left out: that builds the whole project. */
export interface StartRun {
  /** `build` (the default), `run`, `test` or `seed`. */
  command?: string | null;
  select?: string[];
  exclude?: string[];
  full_refresh?: boolean;
}

export interface RunReport {
  run: Integer;
  command: string;
  succeeded: boolean;
  seconds: number;
  steps: StepReport[];
  published: string[];
}

export interface StepReport {
  id: string;
  name: string;
  kind: string;
  /** `success`, `unchanged`, `warn`, `fail`, `error` or `skipped`. */
  outcome: string;
  started_at: string;
  seconds: number;
  rows: Integer | null;
  error: Error | null;
}

export interface Run {
  id: Integer;
  job: string | null;
  command: string;
  trigger: string;
  selection: string;
  /** `queued`, `running`, `succeeded`, `failed`, `cancelled`, `crashed`. */
  status: string;
  queued_at: string;
  started_at: string | null;
  finished_at: string | null;
  message: string | null;
}

export interface RunWithSteps extends Run {
  steps: Step[];
}

export interface Step {
  id: string;
  kind: string;
  /** `pending`, `running`, `succeeded`, `warn`, `failed`, `skipped`, `unchanged`, `cancelled`, `crashed`. */
  status: string;
  started_at: string | null;
  finished_at: string | null;
  /** Rows written by a model, or found by a test. */
  rows: Integer | null;
  message: string | null;
  detail: string | null;
  /** What can be done about a failure. */
  hint: string | null;
  /** As it ran, when the target folder still holds it. */
  compiled_sql: string | null;
}

/** The body of `POST /api/runs/{id}/rerun`: the same command and selection again. */
export interface Rerun {
  /** Only what failed, was skipped or cancelled, and what stands on it. */
  failed_only?: boolean;
}

/** The answer of `POST /api/runs/{id}/cancel`. */
export interface RunCancelled {
  /** False when it had ended before. */
  cancelled: boolean;
}

/** The answer of `POST /api/runs/{id}/rerun` and of `POST /api/runs?wait=false`. */
export interface RunStarted {
  run: Integer;
}

/** What the caller may do. A role may do what the one before it may. */
export type Role =
  /** Looks at everything and asks in SQL. */
  | "viewer"
  /** Also starts runs. */
  | "editor"
  /** Also what may come later: users, settings. */
  | "admin";

/** `GET /api/session`, and the answer of a login. */
export interface Session {
  project: string;
  version: string;
  /** None when nobody is logged in, or when no login is asked for. */
  user: User | null;
  /** What this caller may do now; none before a login. */
  role: Role | null;
  /** Whether this server asks for a login at all. */
  login_required: boolean;
  /** The server takes no changes from anybody. */
  read_only: boolean;
}

export interface User {
  name: string;
  role: Role;
}

/** The body of `POST /api/login`. */
export interface Login {
  name: string;
  password: string;
}

/** One of `GET /api/sinks`. */
export interface Sink {
  name: string;
  /** `files`, `postgres`, `http`, `kafka`. */
  kind: string;
  description: string | null;
  /** Table or model that is sent. */
  table: string;
  sends: SinkSends;
  /** Name of the connection it writes through. */
  connection: string | null;
  /** Where rows go, within the connection if there is one. */
  destination: string;
  /** `starting`, `running`, `caught up`, `retrying`, `failed`, `stopped`; `not running` where no process sends. */
  state: string;
  /** Whether a process sends: without one, the destination was asked how far it is. */
  is_running: boolean;
  /** The destination has every row that was committed until then. */
  up_to: string | null;
  /** The destination has this version of the table; instead of `up_to`, where versions are sent. */
  version: Integer | null;
  /** Rows that are still to be sent; null where that cannot be told. */
  waiting_rows: Integer | null;
  /** Since the first of them came; 0 when none waits. */
  behind_seconds: number | null;
  /** Since the process began; null where none runs. */
  rows_sent: Integer | null;
  /** Sets of rows that went out whole, since the process began. */
  transfers: Integer | null;
  last_sent_at: string | null;
  /** What it failed with last, until it works again. */
  error: Error | null;
  failed_at: string | null;
}

/** Which rows of its table a sink sends. */
export type SinkSends =
  /** Those that were added. */
  | "added"
  /** All, with each version of the table. */
  | "all";

/** One of `GET /api/sources`. */
export interface Source {
  name: string;
  /** `files`, `postgres`, `http`, `push`, `kafka`, `generator`. */
  kind: string;
  description: string | null;
  /** Name of the connection it reads through. */
  connection: string | null;
  /** The worst of its tables' states; `not running` where no process takes it in. */
  state: string;
  paused_at: string | null;
  /** Whether a process takes it in: without one, tables say what their commits know. */
  is_running: boolean;
  tables: SourcePipeline[];
  generator: Generator | null;
}

/** One table that is fed by a source. */
export interface SourcePipeline extends Pipeline {
  /** Over the last minute. */
  rows_per_second: number;
  /** Records that wait at the source, where it can tell. */
  lag_records: Integer | null;
  /** About the same in bytes, where it can tell. */
  lag_bytes: Integer | null;
  /**
   * Time since the last moment up to which the table has everything the source had, as far as the source was asked; null
   * until it has caught up for the first time since the process began.
   */
  behind_seconds: number | null;
  /** Version of the last commit; null before the first of this process. */
  table_version: Integer | null;
  positions: SourcePosition[];
  paused_at: string | null;
  /** It is one of several tables of one stream, and is paused with them. */
  shares_stream: boolean;
  /** A copy beside the stream that was asked for or is under way. */
  copy: TableCopy | null;
}

/** A copy of a captured table that is made while its changes go on. */
export interface TableCopy {
  /** When somebody asked for it; null once it has begun, and of one that nobody asked for. */
  asked_at: string | null;
  is_under_way: boolean;
  /** Rows that were read; null where no process reads them now. */
  rows: Integer | null;
  /** About so many there are, where the source can tell. */
  of_rows: Integer | null;
}

/** The last copy of a captured table that was made beside its stream. */
export interface PastCopy {
  begun_at: string | null;
  /** Null while it is under way. */
  ended_at: string | null;
  /** Rows that were read, when it ended. */
  rows: Integer | null;
}

/** How far a part of a source was taken. */
export interface SourcePosition {
  part: string;
  position: string;
}

/** `GET /api/sources/{name}`. */
export interface SourceDetail extends Source {
  /** The last hour, oldest first. */
  history: SourcePoint[];
  /** The worst first. */
  facts: SourceFact[];
  /** The newest first, 20 at most. */
  errors: PastError[];
  /** Its file without secrets. */
  configuration: ConfiguredValue[];
  /** The file, relative to the project. */
  path: string;
}

/** All tables of a source at a moment. */
export interface SourcePoint {
  at: string;
  /** Over the minute before. */
  rows_per_second: number;
  lag_records: Integer | null;
  lag_bytes: Integer | null;
  behind_seconds: number | null;
}

/** Something a connector knows of its source. */
export interface SourceFact {
  /** The table it is of; of the whole source when null. */
  table: string | null;
  label: string;
  value: string;
  level: FactLevel;
  hint: string | null;
}

export type FactLevel =
  | "ok"
  | "warn"
  | "bad";

export interface PastError {
  at: string;
  table: string;
  error: Error;
}

export interface ConfiguredValue {
  key: string;
  value: string;
}

/** One of `GET /api/sources/{name}/tables`: a table as the lake has it. */
export interface SourceTable {
  table: string;
  /** Null before its first commit. */
  version: Integer | null;
  rows: Integer | null;
  bytes: Integer;
  columns: Integer;
  /** The newest first. */
  commits: TableCommit[];
  /** The newest first. */
  schema_changes: SchemaChange[];
  /** What was set aside; null when nothing was. */
  quarantine: QuarantineTable | null;
  /** Of a captured table that was copied beside its stream. */
  last_copy: PastCopy | null;
}

/** How the columns of a table changed with one commit. */
export interface SchemaChange {
  version: Integer;
  at: string | null;
  added: Column[];
  /** Columns that hold another type than before. */
  changed: ColumnChange[];
  /** The first columns the table's log still tells of. */
  is_first: boolean;
}

export interface ColumnChange {
  name: string;
  before: string;
  after: string;
}

/** Body of `POST /api/sources/{name}/pause`, `resume` and `restart`: the whole source, or one of its tables. */
export interface SteerSource {
  table?: string | null;
}

/** Body of `POST /api/sources/{name}/recopy`. */
export interface RecopyTable {
  /** As in the source's file, or as in the lake. */
  table: string;
}

/** The body of `POST /api/sql`. */
export interface SqlRequest {
  sql: string;
  /** A name of the caller's choice, up to 64 letters, digits, `-` and `_`, by which `DELETE /api/sql/{id}` ends it. */
  id?: string | null;
}

/** The answer of `POST /api/sql?format=json`. After a failure `error` stands in place of `row_count`. */
export interface SqlAnswer extends Rows {
  error: Error | null;
}

/** `POST /api/sql/explain`. */
export interface SqlPlan {
  logical: string;
  physical: string;
}

/** `DELETE /api/sql/{id}`. */
export interface SqlCancelled {
  /** False when no statement of that name was running. */
  cancelled: boolean;
}

/** `GET /api/catalog`: what an editor may complete. */
export interface Catalog {
  default_schema: string;
  tables: CatalogTable[];
  functions: string[];
  keywords: string[];
}

export interface CatalogTable {
  schema: string;
  name: string;
  is_view: boolean;
  columns: Column[];
}

export interface Health {
  status: string;
}

export interface Status {
  project: string;
  version: string;
  started_at: string;
  now: string;
  memory_bytes: Integer;
  generators: Generator[];
  pipelines: Pipeline[];
  schedules: Schedule[];
  running_runs: Integer[];
  last_run: Run | null;
}

export interface Generator {
  source: string;
  state: string;
  delivered: Integer;
  late: Integer;
  duplicates: Integer;
  malformed: Integer;
  reached: string | null;
  by_topic: Record<string, Integer>;
}

export interface Pipeline {
  source: string;
  table: string;
  /** `starting`, `running`, `caught up`, `retrying`, `pausing`, `paused`, `failed`, `finished`, `stopped`, `not running`. */
  state: string;
  records_in: Integer;
  rows_out: Integer;
  quarantined: Integer;
  bytes_in: Integer;
  commits: Integer;
  /** Records of the source not committed yet; 0 also where that cannot be told. */
  lag: Integer;
  last_commit_at: string | null;
  error: Error | null;
}

export interface Schedule {
  job: string;
  schedule: string;
  last_tick: string | null;
  next_tick: string | null;
}

export interface Topic {
  name: string;
  partitions: TopicPartition[];
}

export interface TopicPartition {
  partition: number;
  start_offset: Integer;
  end_offset: Integer;
  bytes: Integer;
}

export interface TopicRecord {
  partition: number;
  offset: Integer;
  timestamp: string;
  /** The record as text. Bytes that are not UTF-8 show as U+FFFD; `is_text` is false then. */
  payload: string;
  is_text: boolean;
}

/** `GET /api/topics/{name}`. */
export interface TopicDetail extends Topic {
  /** Records it holds now. */
  records: Integer;
  bytes: Integer;
  /** The table it is taken into, and how far. */
  pipeline: IngestProgress | null;
}
