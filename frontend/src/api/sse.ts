/** Server-sent events read with `fetch`, because `EventSource` can send no Authorization. */

export interface ServerEvent {
  id: string;
  type: string;
  data: string;
}

/** Parses the stream in whatever pieces it arrives (https://html.spec.whatwg.org/#event-stream-interpretation). */
export class EventParser {
  #rest = "";
  #type = "";
  #data: string[] = [];
  #id = "";
  #first = true;

  push(piece: string): ServerEvent[] {
    const found: ServerEvent[] = [];
    let text = this.#rest + piece;
    if (this.#first && text.length > 0) {
      if (text.startsWith("\ufeff")) text = text.slice(1);
      this.#first = false;
    }
    // A CR at the very end may be half of a CRLF: it waits for what follows.
    for (;;) {
      const end = text.search(/\r\n|\n|\r/);
      if (end === -1 || (text[end] === "\r" && end === text.length - 1)) break;
      const line = text.slice(0, end);
      text = text.slice(end + (text.startsWith("\r\n", end) ? 2 : 1));
      const event = this.#line(line);
      if (event !== null) found.push(event);
    }
    this.#rest = text;
    return found;
  }

  #line(line: string): ServerEvent | null {
    if (line === "") {
      const event =
        this.#data.length > 0
          ? { id: this.#id, type: this.#type || "message", data: this.#data.join("\n") }
          : null;
      this.#type = "";
      this.#data = [];
      return event;
    }
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const raw = colon === -1 ? "" : line.slice(colon + 1);
    const value = raw.startsWith(" ") ? raw.slice(1) : raw;
    if (field === "event") this.#type = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    return null;
  }
}

const BACKOFF_FIRST_MS = 500;
const BACKOFF_LAST_MS = 15_000;

/** Pause before attempt number `failures` + 1, spread so that windows do not return all at once. */
export function backoff(failures: number, random: number = Math.random()): number {
  const full = Math.min(BACKOFF_LAST_MS, BACKOFF_FIRST_MS * 2 ** Math.max(0, failures - 1));
  return full * (0.5 + random / 2);
}

export interface EventSourceOptions {
  /** Opens the stream after the event with this id ("" for none). */
  open(lastId: string, signal: AbortSignal): Promise<Response>;
  onEvent(event: ServerEvent): void;
  /** Whether the stream is open. The first `true` after a pause is the time to fetch everything again. */
  onOpen(open: boolean): void;
}

/** Keeps one stream open while the page is visible. */
export class EventStream {
  readonly #options: EventSourceOptions;
  #lastId = "";
  #abort: AbortController | null = null;

  constructor(options: EventSourceOptions) {
    this.#options = options;
  }

  start(): void {
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.#onVisibility();
  }

  stop(): void {
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#close();
  }

  readonly #onVisibility = (): void => {
    if (document.hidden) this.#close();
    else if (this.#abort === null) {
      this.#abort = new AbortController();
      void this.#follow(this.#abort.signal);
    }
  };

  #close(): void {
    this.#abort?.abort();
    this.#abort = null;
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const isOver = (): boolean => signal.aborted;
    let failures = 0;
    while (!isOver()) {
      try {
        const response = await this.#options.open(this.#lastId, signal);
        if (response.body !== null) {
          this.#options.onOpen(true);
          // An opened stream proves nothing; one that has brought an event does.
          await this.#read(response.body, () => (failures = 0));
        }
      } catch {
        // Cut, refused or aborted: all are answered by the next attempt, or by the abort below.
      }
      if (isOver()) return;
      this.#options.onOpen(false);
      failures += 1;
      await pause(backoff(failures), signal);
    }
  }

  async #read(body: ReadableStream<Uint8Array>, alive: () => void): Promise<void> {
    const parser = new EventParser();
    const decoder = new TextDecoder();
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (const event of parser.push(decoder.decode(value, { stream: true }))) {
        alive();
        if (event.id !== "") this.#lastId = event.id;
        this.#options.onEvent(event);
      }
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
