/** Filling the gaps of all datasets, and what of them cannot be had. */

import { api } from "../api/client";
import type { RepairStarted } from "../api/types";
import { plural } from "../lib/format";
import { live } from "./live.svelte";
import { route } from "./route.svelte";
import { toasts } from "./toasts.svelte";

class Mending {
  asking = $state(false);
  /** Datasets whose gaps no exchange fills, each with why. */
  refused = $state.raw<RepairStarted[]>([]);

  async all(): Promise<void> {
    this.asking = true;
    try {
      const repairs = await api.repair();
      this.refused = repairs.filter((it) => it.run_id === null);
      const begun = repairs.length - this.refused.length;
      if (begun > 0) {
        toasts.done(`Fetching what is missing in ${plural(begun, "dataset")}.`, {
          label: "Show",
          run: () => route.go("runs"),
        });
      } else if (repairs.length === 0) toasts.done("There are no gaps any more.");
      await live.refreshInventory();
    } finally {
      this.asking = false;
    }
  }
}

export const mending = new Mending();
