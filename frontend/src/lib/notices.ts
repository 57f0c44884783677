/** What the program says of the data folder: which of it is new, and how far a start is. */

import type { Recovering } from "../api/types";
import { formatShare } from "./format";

/** A problem without the sizes in it: those change while it stays the same. */
export function problemKey(text: string): string {
  return text.replace(/\d[\d.,]* (?:GB|MB)/g, "…");
}

/** Whether there is a problem that was not there when the list was closed. */
export function isNews(problems: readonly string[], closed: ReadonlySet<string>): boolean {
  return problems.some((text) => !closed.has(problemKey(text)));
}

/** "40 %", or nothing while the whole is not known. */
export function recoveringShare({ done, total }: Recovering): string {
  return total === null ? "" : formatShare(done, total);
}
