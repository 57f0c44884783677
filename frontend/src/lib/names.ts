/** What datasets and runs are called in the window. */

import type { DataType, Run, RunState } from "../api/types";
import { DATA_TYPE_NAMES } from "./collect";

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
