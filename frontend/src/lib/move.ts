/** Moving the data folder: a run that copies, and then the change, which the window asks for. */

import type { Run } from "../api/types";

/** A move that has copied all and was not followed by the change; one before this start is forgotten. */
export function isUnfinishedMove(
  { state, ended_ms, params }: Run,
  data_path: string,
  program_started_ms: number,
): boolean {
  return (
    state === "succeeded" && params["folder"] !== data_path && (ended_ms ?? 0) > program_started_ms
  );
}
