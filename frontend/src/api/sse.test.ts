import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { backoff, EventParser, EventStream, type ServerEvent } from "./sse";

describe("the parser", () => {
  const STREAM =
    'id: 7\nevent: progress\ndata: {"a":1}\n\n: still here\n\ndata: one\ndata: two\n\n';
  const EVENTS: ServerEvent[] = [
    { id: "7", type: "progress", data: '{"a":1}' },
    { id: "7", type: "message", data: "one\ntwo" },
  ];

  test("reads events whole", () => {
    expect(new EventParser().push(STREAM)).toEqual(EVENTS);
  });

  test.each(["\n", "\r\n", "\r"])("reads them whatever the pieces and line ends (%j)", (end) => {
    const text = `\ufeff${STREAM.replaceAll("\n", end)}data: x`;
    for (let size = 1; size < 12; size += 1) {
      const parser = new EventParser();
      const found: ServerEvent[] = [];
      for (let at = 0; at < text.length; at += size)
        found.push(...parser.push(text.slice(at, at + size)));
      expect(found).toEqual(EVENTS);
    }
  });

  test("makes no event of a comment, or of a type alone", () => {
    expect(new EventParser().push(": hello\n\nevent: progress\n\n")).toEqual([]);
  });

  test("takes one space off a value, and no more", () => {
    expect(new EventParser().push("data:  x\n\n")[0]?.data).toBe(" x");
    expect(new EventParser().push("data\n\n")[0]?.data).toBe("");
  });
});

test("pauses grow to a limit, and are spread", () => {
  expect(backoff(1, 1)).toBe(500);
  expect(backoff(4, 1)).toBe(4000);
  expect(backoff(50, 1)).toBe(15_000);
  expect(backoff(4, 0)).toBe(2000);
});

describe("the stream", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  function body(...pieces: string[]): Response {
    const encoder = new TextEncoder();
    return new Response(
      new ReadableStream({
        start(controller) {
          for (const piece of pieces) controller.enqueue(encoder.encode(piece));
          controller.close();
        },
      }),
    );
  }

  function follow(open: (lastId: string) => Promise<Response>) {
    const events: ServerEvent[] = [];
    const states: boolean[] = [];
    const stream = new EventStream({
      open,
      onEvent: (event) => events.push(event),
      onOpen: (isOpen) => states.push(isOpen),
    });
    stream.start();
    return { stream, events, states };
  }

  test("goes on after a cut where it was", async () => {
    const ids: string[] = [];
    const { stream, events, states } = follow((lastId) => {
      ids.push(lastId);
      return Promise.resolve(body(`id: ${ids.length}\ndata: x\n\n`));
    });
    await vi.advanceTimersByTimeAsync(600);
    stream.stop();
    expect(ids.slice(0, 2)).toEqual(["", "1"]);
    expect(events.length).toBeGreaterThan(0);
    expect(states.slice(0, 2)).toEqual([true, false]);
  });

  test("a peer that accepts and drops is not stormed", async () => {
    let opened = 0;
    const { stream } = follow(() => {
      opened += 1;
      return Promise.resolve(body(": hello\n\n"));
    });
    await vi.advanceTimersByTimeAsync(60_000);
    stream.stop();
    expect(opened).toBeLessThan(20);
  });

  test("is closed while the page is hidden, and opened when it is seen again", async () => {
    const open = vi.fn((_: string, signal?: AbortSignal) => {
      return new Promise<Response>((_resolve, reject) => {
        signal?.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
      });
    });
    const { stream } = follow(open);
    await vi.advanceTimersByTimeAsync(0);
    const hidden = vi.spyOn(document, "hidden", "get").mockReturnValue(true);
    document.dispatchEvent(new Event("visibilitychange"));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(open).toHaveBeenCalledTimes(1);
    hidden.mockReturnValue(false);
    document.dispatchEvent(new Event("visibilitychange"));
    await vi.advanceTimersByTimeAsync(0);
    expect(open).toHaveBeenCalledTimes(2);
    stream.stop();
  });
});
