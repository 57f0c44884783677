import { beforeEach, describe, expect, test, vi } from "vitest";

import { Client } from "./client";
import { ApiError } from "./errors";

function answer(body: unknown, status = 200, type = "application/json"): Response {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return new Response(text, { status, headers: { "Content-Type": type } });
}

function fetched() {
  const mock = vi.fn<typeof fetch>();
  vi.stubGlobal("fetch", mock);
  return mock;
}

beforeEach(() => sessionStorage.clear());

describe("signing in", () => {
  test("uses the ticket once and takes it out of the address", async () => {
    window.location.hash = "#ticket=abc";
    const mock = fetched().mockResolvedValue(answer({ token: "T" }));
    const client = new Client();
    await client.signIn();
    expect(mock.mock.calls[0]?.[1]?.body).toBe('{"ticket":"abc"}');
    expect(window.location.hash).toBe("");
    expect(client.hasToken).toBe(true);
    // A reload of the page keeps its right.
    expect(new Client().hasToken).toBe(true);
  });

  test("asks nothing without a ticket", async () => {
    const mock = fetched();
    window.location.hash = "#/library";
    await new Client().signIn();
    expect(mock).not.toHaveBeenCalled();
  });
});

describe("requests", () => {
  test("carry the token, and ids as one piece of the path", async () => {
    sessionStorage.setItem("dccd-token", "T");
    const mock = fetched().mockResolvedValue(answer({ gaps: [] }));
    await new Client().gaps("binance:BTC/../x");
    const [address, init] = mock.mock.calls[0] ?? [];
    expect(address).toBe("api/datasets/binance%3ABTC%2F..%2Fx/gaps");
    expect(init?.headers).toMatchObject({ Authorization: "Bearer T" });
  });

  test("leave out what is not said", async () => {
    const mock = fetched().mockResolvedValue(answer({ runs: [] }));
    await new Client().runs({ limit: 5, state: null });
    expect(mock.mock.calls[0]?.[0]).toBe("api/runs?limit=5");
  });
});

describe("failures", () => {
  async function failure(response: Response | Error): Promise<ApiError> {
    const mock = fetched();
    if (response instanceof Error) mock.mockRejectedValue(response);
    else mock.mockResolvedValue(response);
    return new Client().health().then(
      () => expect.fail("it was answered"),
      (thrown: unknown) => {
        expect(thrown).toBeInstanceOf(ApiError);
        return thrown as ApiError;
      },
    );
  }

  test("say what the problem says", async () => {
    const problem = { detail: "The disk is full.", code: "disk_full", retryable: true };
    const error = await failure(answer(problem, 507, "application/problem+json"));
    expect(error).toMatchObject({
      message: "The disk is full.",
      code: "disk_full",
      status: 507,
      retryable: true,
    });
    expect(error.technical).toContain("GET /api/health → 507");
  });

  test("are told from no answer at all", async () => {
    expect((await failure(new TypeError("Failed to fetch"))).isOffline).toBe(true);
  });

  test("keep what something else answered", async () => {
    const error = await failure(answer("<h1>Bad gateway</h1>", 502, "text/html"));
    expect(error.message).toContain("502");
    expect(error.technical).toContain("<h1>Bad gateway</h1>");
  });

  test("of the token end the session", async () => {
    sessionStorage.setItem("dccd-token", "old");
    const error = await failure(answer({ detail: "No token." }, 401));
    expect(error.isSignedOut).toBe(true);
    expect(sessionStorage.getItem("dccd-token")).toBeNull();
  });
});
