import { expect, test } from "vitest";

import { extent, segments } from "./coverage";

test("the bar reaches over all that was asked for or is held", () => {
  expect(extent([[10, 20]], [[5, 12]], [])).toEqual([5, 20]);
  expect(extent([], [])).toBeNull();
  expect(extent([[5, 5]])).toBeNull();
});

test("intervals are drawn to scale", () => {
  const parts = segments(
    [
      [0, 50],
      [75, 100],
    ],
    [[50, 75]],
    [0, 100],
    200,
  );
  expect(parts.map(({ x, width, state }) => ({ x, width, state }))).toEqual([
    { x: 0, width: 100, state: "held" },
    { x: 150, width: 50, state: "held" },
    { x: 100, width: 50, state: "gap" },
  ]);
});

test("the shortest gap is still seen, at the very end as well", () => {
  const year = 31_536_000_000;
  const [middle] = segments([], [[year / 2, year / 2 + 60_000]], [0, year], 200);
  expect(middle?.width).toBe(2);
  expect(middle?.x).toBeCloseTo(99, 2);
  const [last] = segments([], [[year - 1, year]], [0, year], 200);
  expect((last?.x ?? 0) + (last?.width ?? 0)).toBeLessThanOrEqual(200);
});

test("gaps nearer than a pixel are one mark that counts them", () => {
  const gaps = [
    [20, 21],
    [10, 11],
    [12, 13],
    [900, 901],
  ] as const;
  const parts = segments([], gaps, [0, 1000], 100);
  expect(parts.map(({ count, start_ms, end_ms }) => ({ count, start_ms, end_ms }))).toEqual([
    { count: 3, start_ms: 10, end_ms: 21 },
    { count: 1, start_ms: 900, end_ms: 901 },
  ]);
});

test("what lies outside is cut off, and a bar without width has nothing", () => {
  expect(segments([[-50, 10]], [[200, 300]], [0, 100], 100)).toHaveLength(1);
  expect(segments([[0, 10]], [], [0, 100], 0)).toEqual([]);
  expect(segments([[0, 10]], [], [5, 5], 100)).toEqual([]);
});
