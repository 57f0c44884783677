// Made from the API's models by packaging/generate_api_types.py; edit those and run it again.

export type JsonValue =
  string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };

/** What there is to take over; of very many things left out the first, `not_taken_count` is true. */
export interface AdoptPlan {
  folder: string;
  datasets: AdoptableDataset[];
  not_taken: NotTaken[];
  not_taken_count: number;
  config: AdoptableConfig | null;
}

/** The old folder; a page names it by the handle its dialog gave, and no configuration. */
export interface AdoptRequest {
  folder?: string | null;
  folder_handle?: string | null;
  config_file?: string | null;
}

/** What taking over the configuration would write, and what of it has no place here. */
export interface AdoptableConfig {
  settings: Record<string, JsonValue>;
  jobs: Record<string, JsonValue>[];
  jobs_there: number;
  not_carried: NotTaken[];
}

/** A dataset of the old folder: where it lies there, what it is called here, rows as the files count. */
export interface AdoptableDataset {
  place: string;
  dataset: string;
  files: number;
  rows: number;
  start_ms: number | null;
  end_ms: number | null;
}

/** Compare the bars of `[start, end)` with what stored trades make; without bounds, all there are. */
export interface AuditRequest {
  start?: string | null;
  end?: string | null;
}

/** Fetch `[start, end)`; `start` may also be `last` (go on) or `origin` (since listing). */
export interface BackfillRequest {
  exchange: string;
  symbol: string;
  data_type: DataType;
  span?: string | null;
  depth?: number | null;
  start?: string;
  end?: string | null;
  transport?: "auto" | "rest" | "archive";
  derive_from?: "trades" | null;
}

/** One thing a source can do. */
export interface Capability {
  data_type: DataType;
  transport: Transport;
  mode: Mode;
  markets: Market[];
  history: "full" | "recent";
  lookback_s: number | null;
  rows_max: Partial<Record<Market, number>>;
  direction: "forward" | "backward" | null;
  spans: Partial<Record<Market, string[]>>;
  depths: number[];
  evidence: Evidence;
  docs: string;
}

/** What to draw: candles, a line (its value is the close), or the newest depth of the stretch. */
export interface Chart {
  kind: "bars" | "line" | "depth";
  span_s: number;
  bars: ChartBars;
  depth: Depth | null;
  gaps: [number, number][];
  start_ms: number | null;
  end_ms: number | null;
}

/** Columns of bars: open time in seconds UTC, open, high, low, close, volume (null where none is). */
export interface ChartBars {
  t: number[];
  o: number[];
  h: number[];
  l: number[];
  c: number[];
  v: (number | null)[];
}

/** The stretch a chart shows and how many points it has room for; all of the dataset by default. */
export interface ChartQuery {
  start_ms?: number | null;
  end_ms?: number | null;
  points?: number;
}

/** Fetch at most so many covered windows again; without a seed they are other ones each time. */
export interface CheckRequest {
  windows?: number;
  seed?: number | null;
}

/** A column's name and kind; cells of kind `time` are ISO-8601 text, exact to the nanosecond. */
export interface ColumnItem {
  name: string;
  type: Kind;
}

/** A check on this data folder found rows of this kind to be the same at the exchange. */
export interface Confirmed {
  data_type: DataType;
  market: Market;
  transport: Transport;
  dataset: string;
  checked_ms: number;
  rows: number;
}

/** What a row is. Each has its columns in :mod:`dccd.domain.records`. */
export type DataType =
  "ohlc" | "trades" | "orderbook" | "book_updates" | "funding" | "open_interest";

/** One dataset. `asked`, `covered` and `gaps` hold at most 200 items; `gap_count` is the true count. */
export interface Dataset {
  id: string;
  exchange: string;
  symbol: string;
  data_type: DataType;
  span: string | null;
  depth: number | null;
  rows: number;
  size_bytes: number;
  files: number;
  start_ms: number | null;
  end_ms: number | null;
  asked: [number, number][];
  covered: [number, number][];
  gaps: GapItem[];
  gap_count: number;
  complete: boolean;
  updated_ms: number | null;
  bytes_per_day: number | null;
}

/** A dataset with its files and how to open them elsewhere. */
export interface DatasetDetail {
  id: string;
  exchange: string;
  symbol: string;
  data_type: DataType;
  span: string | null;
  depth: number | null;
  rows: number;
  size_bytes: number;
  files: number;
  start_ms: number | null;
  end_ms: number | null;
  asked: [number, number][];
  covered: [number, number][];
  gaps: GapItem[];
  gap_count: number;
  complete: boolean;
  updated_ms: number | null;
  bytes_per_day: number | null;
  path: string;
  file_list: DatasetFile[];
  snippets: Snippet[];
}

/** One period file: its name under the dataset's folder, what it holds, and the hash of its rows. */
export interface DatasetFile {
  name: string;
  period: string;
  start_ms: number;
  end_ms: number;
  rows: number;
  size_bytes: number;
  sha256: string;
}

/** A dataset's id. */
export interface DatasetName {
  dataset: string;
}

/** A dataset in a person's words; the symbol is resolved by the exchange's instruments. */
export interface DatasetRequest {
  exchange: string;
  symbol: string;
  data_type: DataType;
  span?: string | null;
  depth?: number | null;
}

/** One snapshot of a book: `[price, amount]` levels, best first. */
export interface Depth {
  ts_ms: number;
  bids: [number, number][];
  asks: [number, number][];
}

/** Room on the volume of the data folder; below `floor_bytes` free, downloads wait. */
export interface Disk {
  free_bytes: number;
  total_bytes: number;
  floor_bytes: number;
  state: "enough" | "low" | "full";
}

/** Try what these exchanges, or all, are declared to offer; each answer may take so long. */
export interface DoctorRequest {
  exchanges?: string[] | null;
  wait_s?: number;
}

/** It was done; there is nothing more to say. */
export interface Done {
  status: "ok";
}

/** What of a dataset to download, and as what. */
export interface DownloadQuery {
  format?: ExportFormat;
  start?: string | null;
  end?: string | null;
}

/** What a capability's correctness rests on. */
export type Evidence = "recorded" | "documented" | "confirmed";

/** A source, what it declares, and what of that checks on this data folder have confirmed. */
export interface Exchange {
  id: string;
  name: string;
  capabilities: Capability[];
  confirmed: Confirmed[];
}

/** All sources. */
export interface Exchanges {
  exchanges: Exchange[];
}

/** What an export writes. */
export type ExportFormat = "parquet" | "csv" | "arrow";

/** Export one or many datasets into a folder; a page names it by the handle its dialog gave. */
export interface ExportRequest {
  dataset?: string | null;
  datasets?: string[] | null;
  folder?: string | null;
  folder_handle?: string | null;
  format?: ExportFormat;
  start?: string | null;
  end?: string | null;
  certificate?: boolean;
}

/** The run that exports. */
export interface ExportStarted {
  run_id: string;
}

/** What is wrong with one member of a request: its name (dotted), and why, in words. */
export interface FieldError {
  field: string;
  message: string;
}

/** A handle that stands for the folder a person chose, good for one use; null when they chose none. */
export interface FolderChoice {
  offered: boolean;
  handle: string | null;
  name: string | null;
}

/** Ask for a folder with the window's own dialog. */
export interface FolderRequest {
  title: string;
}

/** A hole in what was asked for, and why it is there: in words, and as a stable code. */
export interface GapItem {
  start_ms: number;
  end_ms: number;
  cause: string;
  code: string;
}

/** Every gap of a dataset, oldest first. */
export interface Gaps {
  gaps: GapItem[];
}

/** The program's state; `disk` is null while the data folder cannot be looked at. */
export interface Health {
  status: "ok" | "data_folder_unreachable";
  version: string;
  data_path: string;
  uptime_s: number;
  running: number;
  disk: Disk | null;
  recovering: Recovering | null;
  problems: string[];
}

/** One contract. */
export interface InstrumentItem {
  symbol: string;
  native: string;
  market: Market;
  type: InstrumentType;
  active: boolean;
  tick_size: number | null;
  lot_size: number | null;
  listed_ms: number | null;
  expiry_ms: number | null;
}

/** What kind of contract an instrument is. */
export type InstrumentType = "spot" | "perpetual" | "future";

/** What was found, closest first; `total` counts what the exchange lists in all. */
export interface Instruments {
  items: InstrumentItem[];
  total: number;
}

/** Search one exchange's instruments; an empty query lists them. */
export interface InstrumentsQuery {
  exchange: string;
  query?: string;
  market?: Market | null;
  active?: boolean;
  limit?: number;
}

/** All datasets. */
export interface Inventory {
  datasets: Dataset[];
}

/** `event: inventory`: a dataset changed on disk. */
export interface InventoryEvent {
  dataset: string;
}

/** What a column holds; storage gives each kind its Arrow type. */
export type Kind = "time" | "sub_ns" | "float" | "int" | "text" | "side" | "bool";

/** `event: log`: a line of a run's log. */
export interface LogEvent {
  run_id: string;
  ts_ms: number;
  level: "info" | "warning" | "error";
  message: string;
}

/** How a contract settles: not at all, in the quote currency, or in the base currency. */
export type Market = "spot" | "linear" | "inverse";

/** Whether a capability serves the past or the present. */
export type Mode = "historical" | "live";

/** The folder to move the data to; a page names it by the handle its dialog gave. */
export interface MoveRequest {
  folder?: string | null;
  folder_handle?: string | null;
}

/** Something that is not taken over, and why. */
export interface NotTaken {
  place: string;
  reason: string;
}

/** What a backfill would fetch; rows, bytes and seconds are estimates. */
export interface Plan {
  dataset: string;
  start_ms: number;
  end_ms: number;
  todo: [number, number][];
  rows: number;
  requests: number;
  bytes: number;
  seconds: number;
  bottleneck: string;
  transport: Transport;
  parts: PlanPart[];
  not_served: [number, number][];
  why: string;
  already_covered: boolean;
}

/** What would come from one place, an exchange's API or its files; the size of files is an estimate. */
export interface PlanPart {
  transport: Transport;
  ranges: [number, number][];
  requests: number;
  download_bytes: number | null;
}

/** An error (RFC 9457). `code` is stable; `detail` is a sentence for people. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  retryable: boolean;
  errors: FieldError[];
  choices: string[];
  retry_after_s: number | null;
  incident: string | null;
}

/** `event: progress`: a run moved on. */
export interface ProgressEvent {
  run_id: string;
  progress: RunProgress;
}

/** Rows of a dataset named in a person's words. */
export interface ReadRequest {
  exchange: string;
  symbol: string;
  data_type: DataType;
  span?: string | null;
  depth?: number | null;
  start?: string | null;
  end?: string | null;
  limit?: number | null;
  cursor?: string | null;
  order?: "asc" | "desc";
  format?: "json" | "arrow";
}

/** What a start still does before what is stored is known: a step in words, and how much of it is done. */
export interface Recovering {
  step: string;
  done: number;
  total: number | null;
}

/** Fetch an exchange's instruments again. */
export interface RefreshRequest {
  exchange: string;
}

/** How many instruments the exchange lists now. */
export interface Refreshed {
  total: number;
}

/** Fetch the gaps of these datasets; of all that have any without `datasets`. */
export interface RepairRequest {
  datasets?: string[] | null;
}

/** The run that fetches a dataset's gaps; null, and why, where they are not to be had. */
export interface RepairStarted {
  dataset: string;
  run_id: string | null;
  status: "started" | "already-running" | null;
  why: string;
}

/** A run for each dataset that has gaps. */
export interface Repairs {
  repairs: RepairStarted[];
}

/** `event: reset`: sent first on a new stream, and where events were missed: load the lists again. */
export interface ResetEvent {
  last_id: number;
}

/** Rows as lists of cells in the columns' order; `next_cursor` is null at the end. */
export interface Rows {
  columns: ColumnItem[];
  rows: (string | number | boolean | null)[][];
  next_cursor: string | null;
}

/** A page of rows of `[start, end)`; `cursor` is what the page before gave as `next_cursor`. */
export interface RowsQuery {
  start?: string | null;
  end?: string | null;
  limit?: number | null;
  cursor?: string | null;
  order?: "asc" | "desc";
  format?: "json" | "arrow";
}

/** One run of an operation; `start_ms` and `end_ms` are the range it is about, once that is known. */
export interface Run {
  run_id: string;
  spec_id: string | null;
  operation: string;
  exchange: string | null;
  symbol: string | null;
  data_type: DataType | null;
  span: string | null;
  dataset: string | null;
  state: RunState;
  start_ms: number | null;
  end_ms: number | null;
  started_ms: number | null;
  ended_ms: number | null;
  rows_written: number;
  error: RunError | null;
  progress: RunProgress | null;
  params: Record<string, JsonValue>;
}

/** The run is told to stop; its last status event says when it has. */
export interface RunCancelled {
  run_id: string;
  status: "cancelling";
}

/** A run with the end of its log, and what came of it where it finds something out. */
export interface RunDetail {
  run_id: string;
  spec_id: string | null;
  operation: string;
  exchange: string | null;
  symbol: string | null;
  data_type: DataType | null;
  span: string | null;
  dataset: string | null;
  state: RunState;
  start_ms: number | null;
  end_ms: number | null;
  started_ms: number | null;
  ended_ms: number | null;
  rows_written: number;
  error: RunError | null;
  progress: RunProgress | null;
  params: Record<string, JsonValue>;
  result: Record<string, JsonValue> | null;
  log_tail: string[];
}

/** Why a run failed: a stable code, and words a person can act on. */
export interface RunError {
  code: string;
  detail: string;
}

/** How far a run is; `waiting` says in words what it waits for. */
export interface RunProgress {
  done: number;
  total: number | null;
  unit: string;
  rows: number;
  rows_per_s: number | null;
  eta_s: number | null;
  waiting: string | null;
}

/** The run that does it: a new one, or the one that already does. */
export interface RunStarted {
  run_id: string;
  status: "started" | "already-running";
}

/** Where a run stands; the last four are final. */
export type RunState = "pending" | "running" | "succeeded" | "failed" | "cancelled" | "interrupted";

/** A page of runs. */
export interface Runs {
  runs: Run[];
}

/** Newest first; `before` is the oldest `run_id` of the page before. */
export interface RunsQuery {
  limit?: number;
  state?: RunState | null;
  operation?: string | null;
  before?: string | null;
}

/** The bearer token of a page; valid until the program ends. */
export interface Session {
  token: string;
}

/** A ticket, exchanged once for a page's token. */
export interface SessionRequest {
  ticket: string;
}

/** The configuration by section, with the file it stands in; secrets are left out. */
export interface Settings {
  path: string;
  sections: Record<string, JsonValue>;
}

/** Sections and the members to change in them; what is not named stays as it is. */
export interface SettingsUpdate {
  sections?: Record<string, Record<string, JsonValue>>;
  data_folder_handle?: string | null;
}

/** Lines that open the dataset in another tool. */
export interface Snippet {
  tool: string;
  code: string;
}

/** `event: status`: a run changed its state. */
export interface StatusEvent {
  run: Run;
}

/** A fresh ticket, and the address that carries it in its fragment. */
export interface Ticket {
  ticket: string;
  url: string;
}

/** How rows are fetched; `auto` lets the plan choose. */
export type Transport = "auto" | "rest" | "ws" | "archive";

/** What lies in the trash, the oldest first. */
export interface Trash {
  items: TrashItem[];
}

/** A deleted dataset; it can be restored until `emptied_ms`. */
export interface TrashItem {
  id: string;
  dataset: string;
  deleted_ms: number;
  emptied_ms: number;
  files: number;
  rows: number;
  size_bytes: number;
  start_ms: number | null;
  end_ms: number | null;
}

/** Read these datasets again, all without `datasets`; `mend` puts damaged files aside, a gap each. */
export interface VerifyRequest {
  datasets?: string[] | null;
  mend?: boolean;
}
