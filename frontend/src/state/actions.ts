/** What buttons, keys and the palette do alike. */

import { api } from "../api/client";
import type { BackfillRequest, Dataset, Run, RunStarted } from "../api/types";
import { isUnrepeatable, kindName } from "../lib/names";
import { outcome } from "../lib/results";
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
  attempt(async () => foundOut(await api.retryRun(run.run_id), "Started."));
}

/** Settles when its run has ended. */
export async function fillGaps(dataset: string): Promise<void> {
  await foundOut(await api.fillGaps(dataset), "Fetching what is missing.");
}

/** The same for one gap. */
export async function fillGap(request: BackfillRequest): Promise<void> {
  await foundOut(await api.startBackfill(request), "Fetching this gap.");
}

/** Read datasets again, all without a list; with `mend` what is damaged is put aside. */
export function verify(datasets: string[] | null, mend = false): void {
  attempt(async () =>
    foundOut(
      await api.verify({ datasets, mend }),
      mend ? "Putting damaged files aside." : "Reading every byte again.",
    ),
  );
}

export function check(dataset: string): void {
  attempt(async () => foundOut(await api.check(dataset), "Comparing with the exchange."));
}

export function audit(dataset: string): void {
  attempt(async () => foundOut(await api.audit(dataset), "Comparing with the stored trades."));
}

export function saveCertificate({ id }: Dataset): void {
  attempt(async () =>
    saveBlob(await api.certificate(id), `${id.replaceAll(":", "_")}.certificate.json`),
  );
}

/** To the trash, with a way back. */
export function deleteDataset(dataset: Dataset): void {
  attempt(async () => {
    const item = await api.delete(dataset.id);
    if (route.page === "library" && route.item === dataset.id) route.go("library");
    await live.refreshInventory();
    const once = isUnrepeatable(dataset.data_type) ? " It can never be fetched again." : "";
    toasts.done(`${dataset.symbol} ${kindName(dataset)} is in the trash.${once}`, {
      label: "Undo",
      run: () => restore(item.id),
    });
  });
}

export function restore(entry: string, then: () => Promise<void> = () => Promise.resolve()): void {
  attempt(async () => {
    const { dataset } = await api.restore(entry);
    await Promise.all([live.refreshInventory(), then()]);
    toasts.done("It is back.", { label: "Show", run: () => route.go("library", dataset) });
  });
}

/** Says that a run has begun, and in that place, once it has ended, what was found. */
async function foundOut({ run_id, status }: RunStarted, begun: string): Promise<void> {
  const said = toasts.done(status === "started" ? begun : "This is running already.", show(run_id));
  const { operation, state } = await live.ended(run_id);
  toasts.close(said);
  if (state === "failed") {
    toasts.done("It could not be done.", show(run_id));
    return;
  }
  const detail = await api.run(run_id);
  live.learn(detail);
  const { result } = detail;
  const words = result === null || state !== "succeeded" ? null : outcome(operation, result);
  if (words !== null) toasts.done(words, show(run_id));
  live.look();
}

function show(runId: string): { label: string; run: () => void } {
  return { label: "Show", run: () => route.go("runs", runId) };
}

/** Give a file to the browser to save. */
export function saveBlob(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
