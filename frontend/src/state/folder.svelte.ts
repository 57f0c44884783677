/** The data folder: chosen with the window's dialog, moved, and changed over when all is copied. */

import { api } from "../api/client";
import type { AdoptPlan, Run } from "../api/types";
import { isUnfinishedMove } from "../lib/move";
import { live } from "./live.svelte";
import { route } from "./route.svelte";
import { toasts } from "./toasts.svelte";

/** What a person chooses a folder for. */
export type Purpose = "move" | "use" | "adopt";

/** A folder that was chosen; the handle stands for it. */
interface Chosen {
  handle: string;
  name: string;
}

class Folder {
  /** Where to move the data, to be confirmed. */
  target = $state.raw<Chosen | null>(null);
  /** What there is to take over, to be confirmed. */
  plan = $state.raw<(Chosen & { plan: AdoptPlan }) | null>(null);
  /** What was asked for where no dialog can be shown, as in a browser. */
  refused = $state<Purpose | null>(null);
  /** Waits for the dialog, for the plan, or for the change. */
  busy = $state("");

  readonly moving = $derived(live.running.find((run) => run.operation === "move") ?? null);
  /** A move whose copy is made and whose change is not: refused, or its page was closed. */
  readonly unfinished = $derived.by((): Run | null => {
    const last = live.runList.find((run) => run.operation === "move");
    if (this.#switching || last === undefined || live.health === null) return null;
    return isUnfinishedMove(last, live.health.data_path, live.startedMs) ? last : null;
  });
  #switching = $state(false);

  async askMove(): Promise<void> {
    this.target = await this.choose("move", "Folder to move your data to");
  }

  async askAdopt(): Promise<void> {
    const chosen = await this.choose("adopt", "Data folder of dccd 3");
    if (chosen === null) return;
    this.busy = "Looking at what is there…";
    try {
      this.plan = { ...chosen, plan: await api.adoptPlan(chosen.handle) };
    } finally {
      this.busy = "";
    }
  }

  /** Copies, as a run; when that has succeeded, the program goes on there. */
  async move({ handle }: Chosen): Promise<void> {
    this.target = null;
    const { run_id } = await api.moveFolder(handle);
    const run = await live.ended(run_id);
    if (run.state !== "succeeded") return;
    // Nothing may run while the program changes over.
    while (live.running.length > 0) {
      await Promise.all(live.running.map((it) => live.ended(it.run_id)));
    }
    if (run.params["folder"] !== live.health?.data_path) await this.switch();
  }

  async switch(): Promise<void> {
    this.#switching = true;
    this.busy = "Changing over…";
    try {
      await api.switchFolder();
      await live.refreshHealth();
      toasts.done(`The data is in ${live.health?.data_path ?? "the new folder"} now.`);
      await live.refreshInventory();
    } finally {
      this.busy = "";
      this.#switching = false;
    }
  }

  async adopt({ handle }: Chosen): Promise<void> {
    this.plan = null;
    const { run_id } = await api.adopt(handle);
    await live.follow(run_id);
    route.go("runs", run_id);
  }

  /** Null when none was chosen, or none can be. */
  async choose(purpose: Purpose, title: string): Promise<Chosen | null> {
    this.refused = null;
    this.busy = "Choose a folder…";
    try {
      const { offered, handle, name } = await api.chooseFolder(title);
      if (!offered) this.refused = purpose;
      return handle === null ? null : { handle, name: name ?? "" };
    } finally {
      this.busy = "";
    }
  }
}

export const folder = new Folder();
