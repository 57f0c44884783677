/** The one place that talks to the API. */

import { ApiError, isAbort, offline, problemOf } from "./errors";
import { EventStream, type ServerEvent } from "./sse";
import type {
  AdoptPlan,
  BackfillRequest,
  Chart,
  ChartQuery,
  Dataset,
  DatasetDetail,
  Done,
  DownloadQuery,
  Exchange,
  Exchanges,
  ExportRequest,
  ExportStarted,
  FolderChoice,
  Gaps,
  Health,
  Instruments,
  InstrumentsQuery,
  Inventory,
  Plan,
  Repairs,
  Rows,
  RowsQuery,
  Run,
  RunCancelled,
  RunDetail,
  Runs,
  RunsQuery,
  RunStarted,
  Session,
  Settings,
  SettingsUpdate,
  Trash,
  TrashItem,
  VerifyRequest,
} from "./types";

const TOKEN_KEY = "dccd-token";

type Query = Record<string, string | number | boolean | null | undefined>;

interface Call {
  body?: unknown;
  query?: object;
  signal?: AbortSignal | undefined;
}

export class Client {
  #token: string | null = sessionStorage.getItem(TOKEN_KEY);

  get hasToken(): boolean {
    return this.#token !== null;
  }

  /** Exchange the ticket of the address (once) for this page's token, and take it out of the address. */
  async signIn(location: Location = window.location): Promise<void> {
    const ticket = new URLSearchParams(location.hash.slice(1)).get("ticket");
    if (ticket === null) return;
    history.replaceState(null, "", location.pathname + location.search);
    const { token } = await this.#json<Session>("POST", "session", { body: { ticket } });
    this.#token = token;
    sessionStorage.setItem(TOKEN_KEY, token);
  }

  health = (): Promise<Health> => this.#json("GET", "health");

  exchanges = async (): Promise<Exchange[]> =>
    (await this.#json<Exchanges>("GET", "exchanges")).exchanges;

  instruments = (query: InstrumentsQuery, signal?: AbortSignal): Promise<Instruments> =>
    this.#json("GET", "instruments", { query, signal });

  refreshInstruments = (exchange: string): Promise<unknown> =>
    this.#json("POST", "instruments/refresh", { body: { exchange } });

  plan = (request: BackfillRequest, signal?: AbortSignal): Promise<Plan> =>
    this.#json("POST", "plan", { body: request, signal });

  startBackfill = (request: BackfillRequest): Promise<RunStarted> =>
    this.#json("POST", "backfill", { body: request });

  cancelRun = (runId: string): Promise<RunCancelled> =>
    this.#json("DELETE", `backfill/${segment(runId)}`);

  retryRun = (runId: string): Promise<RunStarted> =>
    this.#json("POST", `backfill/${segment(runId)}/retry`);

  runs = async (query: RunsQuery = {}): Promise<Run[]> =>
    (await this.#json<Runs>("GET", "runs", { query })).runs;

  run = (runId: string, signal?: AbortSignal): Promise<RunDetail> =>
    this.#json("GET", `runs/${segment(runId)}`, { signal });

  inventory = async (): Promise<Dataset[]> =>
    (await this.#json<Inventory>("GET", "inventory")).datasets;

  dataset = (id: string, signal?: AbortSignal): Promise<DatasetDetail> =>
    this.#json("GET", `datasets/${segment(id)}`, { signal });

  gaps = async (id: string, signal?: AbortSignal): Promise<Gaps["gaps"]> =>
    (await this.#json<Gaps>("GET", `datasets/${segment(id)}/gaps`, { signal })).gaps;

  fillGaps = (id: string): Promise<RunStarted> =>
    this.#json("POST", `datasets/${segment(id)}/fill`);

  repair = async (datasets: string[] | null = null): Promise<Repairs["repairs"]> =>
    (await this.#json<Repairs>("POST", "repair", { body: { datasets } })).repairs;

  verify = (request: VerifyRequest): Promise<RunStarted> =>
    this.#json("POST", "verify", { body: request });

  check = (id: string): Promise<RunStarted> =>
    this.#json("POST", `datasets/${segment(id)}/check`, { body: {} });

  audit = (id: string): Promise<RunStarted> =>
    this.#json("POST", `datasets/${segment(id)}/audit`, { body: {} });

  async certificate(id: string): Promise<Blob> {
    const response = await this.#fetch("GET", `datasets/${segment(id)}/certificate`, {});
    return response.blob();
  }

  delete = (id: string): Promise<TrashItem> => this.#json("DELETE", `datasets/${segment(id)}`);

  trash = async (): Promise<TrashItem[]> => (await this.#json<Trash>("GET", "trash")).items;

  restore = (entry: string): Promise<TrashItem> =>
    this.#json("POST", `trash/${segment(entry)}/restore`);

  emptyTrash = async (): Promise<TrashItem[]> => (await this.#json<Trash>("DELETE", "trash")).items;

  rows = (id: string, query: RowsQuery, signal?: AbortSignal): Promise<Rows> =>
    this.#json("GET", `datasets/${segment(id)}/rows`, { query, signal });

  chart = (id: string, query: ChartQuery, signal?: AbortSignal): Promise<Chart> =>
    this.#json("GET", `datasets/${segment(id)}/chart`, { query, signal });

  export = (request: ExportRequest): Promise<ExportStarted> =>
    this.#json("POST", "export", { body: request });

  /** The dataset as one file, for where there is no native dialog to name a folder. */
  async download(id: string, query: DownloadQuery): Promise<Blob> {
    const response = await this.#fetch("GET", `datasets/${segment(id)}/download`, { query });
    return response.blob();
  }

  chooseFolder = (title: string): Promise<FolderChoice> =>
    this.#json("POST", "dialog/folder", { body: { title } });

  moveFolder = (handle: string): Promise<RunStarted> =>
    this.#json("POST", "folder/move", { body: { folder_handle: handle } });

  switchFolder = (): Promise<Done> => this.#json("POST", "folder/switch");

  adoptPlan = (handle: string): Promise<AdoptPlan> =>
    this.#json("POST", "adopt/plan", { body: { folder_handle: handle } });

  adopt = (handle: string): Promise<RunStarted> =>
    this.#json("POST", "adopt", { body: { folder_handle: handle } });

  settings = (): Promise<Settings> => this.#json("GET", "config");

  saveSettings = (update: SettingsUpdate): Promise<Settings> =>
    this.#json("PUT", "config", { body: update });

  events(onEvent: (event: ServerEvent) => void, onOpen: (open: boolean) => void): EventStream {
    return new EventStream({
      open: (lastId, signal) =>
        this.#fetch("GET", "events", { signal }, lastId === "" ? {} : { "Last-Event-ID": lastId }),
      onEvent,
      onOpen,
    });
  }

  async #json<T>(method: string, path: string, call: Call = {}): Promise<T> {
    const response = await this.#fetch(method, path, call);
    return (await response.json()) as T;
  }

  async #fetch(
    method: string,
    path: string,
    call: Call,
    extra: Record<string, string> = {},
  ): Promise<Response> {
    const headers: Record<string, string> = { ...extra };
    if (this.#token !== null) headers["Authorization"] = `Bearer ${this.#token}`;
    const init: RequestInit = { method, headers, cache: "no-store" };
    if (call.signal) init.signal = call.signal;
    if (call.body !== undefined) {
      headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(call.body);
    }
    const address = `api/${path}${queryText((call.query ?? {}) as Query)}`;
    const said = `${method} /${address}`;
    let response: Response;
    try {
      response = await fetch(address, init);
    } catch (cause) {
      if (isAbort(cause)) throw cause;
      throw offline(said, cause);
    }
    if (response.ok) return response;
    const problem = await problemOf(said, response);
    if (problem.isSignedOut) this.#forget();
    throw problem;
  }

  #forget(): void {
    this.#token = null;
    sessionStorage.removeItem(TOKEN_KEY);
  }
}

function segment(id: string): string {
  return encodeURIComponent(id);
}

function queryText(query: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return text === "" ? "" : `?${text}`;
}

export const api = new Client();
export { ApiError };
