/** What datasets and runs are called in the window. */

import type { DataType, Run, RunState } from "../api/types";
import { DATA_TYPE_NAMES } from "./collect";
import { plural } from "./format";

interface Named {
  data_type: DataType | null;
  span?: string | null;
  depth?: number | null;
}

/** "Candles 1h", "Trades", "Order book 100 levels". */
export function kindName({ data_type, span, depth }: Named): string {
  if (data_type === null) return "";
  const name = DATA_TYPE_NAMES[data_type];
  if (span) return `${name} ${span}`;
  return depth ? `${name} ${depth} levels` : name;
}

/** The same where room is short: what tells datasets of a symbol apart comes first. */
export function shortKind({ data_type, span, depth }: Named): string {
  if (data_type === null) return "";
  const name = DATA_TYPE_NAMES[data_type];
  if (span) return `${span} ${name}`;
  return depth ? `${depth} levels ${name}` : name;
}

export const STATE_NAMES: Record<RunState, string> = {
  pending: "Waiting",
  running: "Running",
  succeeded: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
  interrupted: "Interrupted",
};

const OPERATION_NAMES: Record<string, string> = {
  backfill: "Download",
  export: "Export",
  verify: "Verify",
  check: "Check",
  audit: "Audit",
  adopt: "Take over",
  move: "Move",
  doctor: "Try the exchanges",
};

export function operationName(operation: string): string {
  return OPERATION_NAMES[operation] ?? operation;
}

export function isActive(run: Run): boolean {
  return run.state === "pending" || run.state === "running";
}

/** The runs whose dataset has a newer run; `runs` are newest first. */
export function superseded(runs: readonly Run[]): ReadonlySet<string> {
  const seen = new Set<string>();
  const older = new Set<string>();
  for (const run of runs) {
    const subject = run.dataset ?? `${run.exchange} ${run.symbol} ${kindName(run)}`;
    if (seen.has(subject)) older.add(run.run_id);
    seen.add(subject);
  }
  return older;
}

const WRITING: readonly string[] = ["backfill", "export", "adopt"];

/** Whether a run's count of rows says what it did; the others only look, or move whole files. */
export function countsRows({ operation }: Run): boolean {
  return WRITING.includes(operation);
}

/** What a run is about where it names no symbol: datasets, a folder. */
export function runSubject({ params }: Run): string {
  const { datasets, folder } = params;
  if (Array.isArray(datasets)) {
    const [first] = datasets;
    return datasets.length === 1 && typeof first === "string"
      ? datasetWords(first)
      : plural(datasets.length, "dataset");
  }
  return typeof folder === "string" ? folder : "";
}

/** Share of the work done, or null while the whole is not known. */
export function runShare(run: Run): number | null {
  const { done, total } = run.progress ?? { done: 0, total: null };
  return total === null || total <= 0 ? null : Math.min(1, Math.max(0, done / total));
}

/** Seconds left, or null while that is not known: a run that waits or stands still foresees nothing. */
export function secondsLeft({ progress }: Run): number | null {
  if (!progress?.rows_per_s || progress.waiting !== null) return null;
  return progress.eta_s;
}

/** Whether no exchange gives its past: what is deleted of it is gone. */
export function isUnrepeatable(type: DataType): boolean {
  return type === "orderbook" || type === "book_updates";
}

/** A dataset's id in words, for what is not in the library: "BTC/USDT candles 1h" of `…:BTC-USDT:ohlc:1h`. */
export function datasetWords(id: string): string {
  const [exchange, symbol, type = "", detail] = id.split(":");
  if (exchange === undefined || symbol === undefined || !Object.hasOwn(DATA_TYPE_NAMES, type))
    return id;
  const data_type = type as DataType;
  const name = `${decoded(symbol.replace("-", "/").replace("_", ":"))} ${DATA_TYPE_NAMES[data_type]}`;
  return `${name}${detail === undefined ? "" : ` ${detail}`}, ${exchange}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
