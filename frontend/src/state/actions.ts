/** What buttons, keys and the palette do alike. */

import { api } from "../api/client";
import type { Run } from "../api/types";
import { live } from "./live.svelte";
import { route } from "./route.svelte";
import { attempt, toasts } from "./toasts.svelte";

export function cancelRun(run: Run): void {
  attempt(async () => {
    await api.cancelRun(run.run_id);
    const undo = { label: "Undo", run: () => againRun(run) };
    toasts.done(
      run.operation === "backfill" ? "Cancelled. What was downloaded is kept." : "Cancelled.",
      run.operation === "backfill" ? undo : null,
    );
  });
}

export function againRun(run: Run): void {
  attempt(async () => {
    const { status } = await api.retryRun(run.run_id);
    toasts.done(status === "started" ? "Started." : "This is running already.");
  });
}

/** Settles when its run is known. */
export async function fillGaps(dataset: string): Promise<void> {
  const { run_id, status } = await api.fillGaps(dataset);
  await live.follow(run_id);
  toasts.done(status === "started" ? "Fetching what is missing." : "This is running already.", {
    label: "Show",
    run: () => route.go("runs", run_id),
  });
}

/** Give a file to the browser to save. */
export function saveBlob(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
