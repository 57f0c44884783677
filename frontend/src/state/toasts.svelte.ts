import { asApiError, isAbort } from "../api/errors";

export interface Toast {
  id: number;
  kind: "done" | "failed";
  text: string;
  technical: string;
  action: { label: string; run: () => void } | null;
}

const SHOWN_MS = 8000;

class Toasts {
  list = $state<Toast[]>([]);
  #next = 1;

  /** One at a time: the newest is what the person has just done. Gives what closes it. */
  done(text: string, action: Toast["action"] = null): number {
    this.list = this.list.filter((it) => it.kind === "failed");
    const id = this.#add({ kind: "done", text, technical: "", action });
    setTimeout(() => this.close(id), SHOWN_MS);
    return id;
  }

  /** Stays until it is closed: a failure that goes by itself is a failure nobody read. */
  failed(thrown: unknown): void {
    if (isAbort(thrown)) return;
    const error = asApiError(thrown);
    if (error.isSignedOut || this.list.some((it) => it.text === error.message)) return;
    this.#add({ kind: "failed", text: error.message, technical: error.technical, action: null });
  }

  close(id: number): void {
    this.list = this.list.filter((it) => it.id !== id);
  }

  #add(toast: Omit<Toast, "id">): number {
    const id = this.#next++;
    this.list = [...this.list.slice(-3), { id, ...toast }];
    return id;
  }
}

export const toasts = new Toasts();

/** Run an action of a button: what it throws is said to the person. */
export function attempt(action: () => Promise<unknown>): void {
  action().catch((thrown: unknown) => toasts.failed(thrown));
}
