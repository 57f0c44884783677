/** The command that does the same as a form. */

import type { BackfillRequest } from "../api/types";

/** One word of a POSIX shell, quoted when it must be. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Where the running program keeps its data and its configuration; null while not known yet. */
export interface Places {
  data_path: string | null;
  config: string | null;
}

/** Both places are named always: whether they are what a terminal would take by itself is not known here. */
export function backfillCommand(request: BackfillRequest, { data_path, config }: Places): string {
  const words = ["dccd", "backfill", request.exchange, request.symbol];
  if (request.data_type !== "ohlc") words.push("--type", request.data_type);
  if (request.span) words.push("--span", request.span);
  if (request.depth) words.push("--depth", String(request.depth));
  if (request.start) words.push("--start", request.start);
  if (request.end) words.push("--end", request.end);
  if (data_path !== null) words.push("--data-path", data_path);
  if (config !== null) words.push("--config", config);
  return words.map(shellWord).join(" ");
}
