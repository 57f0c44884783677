/** What the program says of the data folder: which of it is new, and how far a start is. */

import type { Recovering } from "../api/types";
import { formatShare } from "./format";

/** A problem without the sizes in it: those change while it stays the same. */
export function problemKey(text: string): string {
  return text.replace(/\d[\d.,]* (?:GB|MB)/g, "…");
}

/** Each problem once, with how many times it is told: in the order of the first. */
export function counted(problems: readonly string[]): { text: string; count: number }[] {
  const counts = new Map<string, number>();
  for (const text of problems) counts.set(text, (counts.get(text) ?? 0) + 1);
  return [...counts].map(([text, count]) => ({ text, count }));
}

/** Whether there is a problem that was not there when the list was closed. */
export function isNews(problems: readonly string[], closed: ReadonlySet<string>): boolean {
  return problems.some((text) => !closed.has(problemKey(text)));
}

/** "40 %", or nothing while the whole is not known. */
export function recoveringShare({ done, total }: Recovering): string {
  return total === null ? "" : formatShare(done, total);
}
