/** What the server knows, kept as fresh as its events are. */

import { SvelteMap } from "svelte/reactivity";

import { api } from "../api/client";
import { ApiError, asApiError } from "../api/errors";
import type { EventStream, ServerEvent } from "../api/sse";
import type {
  Dataset,
  Exchange,
  Health,
  JsonValue,
  LogEvent,
  ProgressEvent,
  Run,
  RunDetail,
  StatusEvent,
} from "../api/types";
import { isActive } from "../lib/names";

const HEALTH_EVERY_MS = 10_000;
const RECOVERING_EVERY_MS = 500;
const INVENTORY_PAUSE_MS = 1000;
const RUNS_PAGE = 100;
const LOG_LINES_MAX = 1000;

type Phase = "starting" | "signed-out" | "ready" | "failed";

class Live {
  phase = $state<Phase>("starting");
  failure = $state.raw<ApiError | null>(null);
  connected = $state(true);
  health = $state.raw<Health | null>(null);
  /** When the program began. */
  startedMs = $state(0);
  exchanges = $state.raw<Exchange[]>([]);
  datasets = $state.raw<Dataset[] | null>(null);
  readonly runs = new SvelteMap<string, Run>();
  /** Lines that came while the window watched, by run. */
  readonly logs = new SvelteMap<string, string[]>();
  /** What ended runs found, by run, as far as it was looked at. */
  readonly results = new SvelteMap<string, Record<string, JsonValue>>();
  moreRuns = $state(true);

  /** Newest first. */
  readonly runList = $derived(
    [...this.runs.values()].sort((a, b) => (b.started_ms ?? Infinity) - (a.started_ms ?? Infinity)),
  );
  readonly running = $derived(this.runList.filter(isActive));

  #stream: EventStream | null = null;
  #inventoryTimer: ReturnType<typeof setTimeout> | null = null;
  #recoveringTimer: ReturnType<typeof setTimeout> | null = null;
  readonly #waiting = new Map<string, ((run: Run) => void)[]>();
  #cut = false;

  async start(): Promise<void> {
    this.failure = null;
    try {
      await api.signIn();
      if (!api.hasToken) {
        this.phase = "signed-out";
        return;
      }
      await this.#refreshExchanges();
      await this.#refresh();
      this.phase = "ready";
    } catch (thrown) {
      const error = asApiError(thrown);
      this.failure = error;
      this.phase = error.isSignedOut ? "signed-out" : "failed";
      return;
    }
    this.#stream = api.events(this.#onEvent, this.#onOpen);
    this.#stream.start();
    setInterval(() => {
      if (document.hidden) return;
      void this.#guard(this.refreshHealth());
      // What is being downloaded grows between the events that say it was put into files.
      if (this.running.length > 0) this.#inventorySoon();
    }, HEALTH_EVERY_MS);
    // While hidden no event is read; what happened meanwhile is fetched when the page is looked at again.
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) void this.#guard(this.#refresh());
    });
  }

  exchangeName(id: string | null): string {
    return this.exchanges.find((it) => it.id === id)?.name ?? id ?? "";
  }

  async refreshHealth(): Promise<void> {
    const before = this.health;
    const health = await api.health();
    this.health = health;
    this.startedMs = Date.now() - health.uptime_s * 1000;
    if (health.recovering !== null) this.#healthSoon();
    // What a start has found is known once it is over.
    else if (before !== null && before.recovering !== null) this.#inventorySoon();
  }

  /** A start's recovery goes on without events; it is watched more closely than all else. */
  #healthSoon(): void {
    if (this.#recoveringTimer !== null) return;
    this.#recoveringTimer = setTimeout(() => {
      this.#recoveringTimer = null;
      void this.#guard(this.refreshHealth());
    }, RECOVERING_EVERY_MS);
  }

  /** A page that lists what is held was opened. */
  look(): void {
    void this.#guard(this.refreshInventory());
  }

  async refreshInventory(): Promise<void> {
    this.datasets = await api.inventory();
  }

  async #refreshExchanges(): Promise<void> {
    this.exchanges = await api.exchanges();
  }

  async olderRuns(): Promise<void> {
    const oldest = this.runList.at(-1);
    if (!this.moreRuns || oldest === undefined) return;
    const page = await api.runs({ limit: RUNS_PAGE, before: oldest.run_id });
    for (const run of page) this.#put(run);
    this.moreRuns = page.length === RUNS_PAGE;
  }

  async #refresh(): Promise<void> {
    const [runs] = await Promise.all([
      api.runs({ limit: RUNS_PAGE }),
      this.refreshHealth(),
      this.refreshInventory(),
    ]);
    if (this.runs.size === 0) this.moreRuns = runs.length === RUNS_PAGE;
    for (const run of runs) this.#put(run);
  }

  readonly #onOpen = (open: boolean): void => {
    this.connected = open;
    if (!open) this.#cut = true;
    else if (this.#cut) {
      this.#cut = false;
      void this.#guard(this.#refresh());
    }
  };

  readonly #onEvent = (event: ServerEvent): void => {
    const data: unknown = JSON.parse(event.data);
    switch (event.type) {
      case "progress":
        this.#onProgress(data as ProgressEvent);
        break;
      case "status":
        this.#onStatus(data as StatusEvent);
        break;
      case "log":
        this.#onLog(data as LogEvent);
        break;
      case "inventory":
        this.#inventorySoon();
        break;
      case "reset":
        void this.#guard(this.#refresh());
    }
  };

  #onProgress({ run_id, progress }: ProgressEvent): void {
    const run = this.runs.get(run_id);
    if (run === undefined) void this.#guard(this.#fetchRun(run_id));
    // A late line of progress must not bring an ended run back to life.
    else if (isActive(run)) {
      this.runs.set(run_id, {
        ...run,
        progress,
        rows_written: Math.max(run.rows_written, progress.rows),
      });
    }
  }

  #onStatus({ run }: StatusEvent): void {
    this.#put(run);
    if (!isActive(run)) {
      this.#inventorySoon();
      void this.#guard(this.refreshHealth());
      // What rested on documentation alone may be confirmed now, or no longer.
      if (run.operation === "check") void this.#guard(this.#refreshExchanges());
    }
  }

  #onLog({ run_id, ts_ms, level, message }: LogEvent): void {
    // Written as the run's own log is: a line that is in both is shown once.
    const when = new Date(ts_ms).toISOString().replace(/\.?0+Z$/, "Z");
    const line = `${when} ${level === "info" ? "" : `${level}: `}${message}`;
    this.logs.set(run_id, [...(this.logs.get(run_id) ?? []), line].slice(-LOG_LINES_MAX));
  }

  /** Know a run that was just started, before an event tells of it. */
  async follow(runId: string): Promise<void> {
    if (!this.runs.has(runId)) await this.#fetchRun(runId);
  }

  async #fetchRun(runId: string): Promise<void> {
    const run = await api.run(runId);
    // What an event has said meanwhile is newer.
    if (!this.runs.has(runId)) this.#put(run);
  }

  /** What a run found is known now: lists show it too. */
  learn({ run_id, result }: RunDetail): void {
    if (result !== null) this.results.set(run_id, result);
  }

  /** A run as it ended. */
  async ended(runId: string): Promise<Run> {
    await this.follow(runId);
    const run = this.runs.get(runId);
    if (run !== undefined && !isActive(run)) return run;
    return new Promise((resolve) =>
      this.#waiting.set(runId, [...(this.#waiting.get(runId) ?? []), resolve]),
    );
  }

  #put(run: Run): void {
    this.runs.set(run.run_id, run);
    if (isActive(run)) return;
    this.#waiting.get(run.run_id)?.forEach((resolve) => resolve(run));
    this.#waiting.delete(run.run_id);
  }

  #inventorySoon(): void {
    if (this.#inventoryTimer !== null) return;
    this.#inventoryTimer = setTimeout(() => {
      this.#inventoryTimer = null;
      void this.#guard(this.refreshInventory());
    }, INVENTORY_PAUSE_MS);
  }

  /** For what nobody waits for: its failure shows in the frame, not as a message. */
  async #guard(work: Promise<void>): Promise<void> {
    try {
      await work;
      if (!this.#cut) this.connected = true;
    } catch (thrown) {
      const error = asApiError(thrown);
      if (error.isSignedOut) {
        this.#stream?.stop();
        this.phase = "signed-out";
      } else this.connected = false;
    }
  }
}

export const live = new Live();
