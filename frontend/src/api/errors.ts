import type { FieldError, Problem } from "./types";

/** A request that failed: what the server said of it, or why it could not be asked. */
export class ApiError extends Error {
  readonly code: string;
  readonly status: number;
  readonly retryable: boolean;
  readonly errors: readonly FieldError[];
  readonly choices: readonly string[];
  /** What to give to someone who can help: unfolds and copies. */
  readonly technical: string;

  constructor(problem: Partial<Problem> & { detail: string }, technical: string) {
    super(problem.detail);
    this.name = "ApiError";
    this.code = problem.code ?? "error";
    this.status = problem.status ?? 0;
    this.retryable = problem.retryable ?? false;
    this.errors = problem.errors ?? [];
    this.choices = problem.choices ?? [];
    this.technical = technical;
  }

  /** dccd itself does not answer: it has ended, or is starting. */
  get isOffline(): boolean {
    return this.code === "offline";
  }

  /** This page's token is not (or no longer) good. */
  get isSignedOut(): boolean {
    return this.status === 401;
  }
}

export function offline(request: string, cause: unknown): ApiError {
  return new ApiError(
    {
      code: "offline",
      retryable: true,
      detail: "dccd does not answer. It may have been closed; start it again.",
    },
    `${request}\n${String(cause)}`,
  );
}

/** The error of an answer that is not 2xx, whatever its body turns out to be. */
export async function problemOf(request: string, response: Response): Promise<ApiError> {
  const body = await response.text().catch(() => "");
  const technical = [`${request} → ${response.status}`, body].filter(Boolean).join("\n");
  try {
    const problem: unknown = JSON.parse(body);
    if (isProblem(problem)) return new ApiError({ ...problem, status: response.status }, technical);
  } catch {
    // Not JSON: something else than our API answered; its text is in `technical`.
  }
  const detail = `dccd could not do this (HTTP ${response.status}).`;
  return new ApiError({ status: response.status, detail }, technical);
}

/** Anything that was thrown, as an error with a sentence and a technical text. */
export function asApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  return new ApiError({ code: "internal", detail: "Something went wrong in this window." }, text);
}

export function isAbort(thrown: unknown): boolean {
  return thrown instanceof DOMException && thrown.name === "AbortError";
}

function isProblem(value: unknown): value is Problem {
  return (
    typeof value === "object" &&
    value !== null &&
    "detail" in value &&
    typeof value.detail === "string"
  );
}
