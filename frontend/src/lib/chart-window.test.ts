import { expect, test } from "vitest";

import { indexAt, mustLoad, timeAt, wanted, withBlanks } from "./chart-window";

const LIMITS = { start_s: 0, end_s: 1_000_000 };

test("an index and its time are two names of one place, beyond the ends too", () => {
  const times = [100, 160, 400, 460];
  for (const index of [-3, -0.5, 0, 0.5, 1.25, 2, 3, 7.5]) {
    expect(indexAt(times, 60, timeAt(times, 60, index))).toBeCloseTo(index, 9);
  }
  expect(timeAt(times, 60, -1)).toBe(40);
  expect(timeAt(times, 60, 4)).toBe(520);
  expect(timeAt([], 60, 3)).toBe(0);
  expect(indexAt([], 60, 3)).toBe(0);
});

test("a screen more on both sides is asked for, within the data", () => {
  expect(wanted({ start_s: 5000, end_s: 6000 }, LIMITS)).toEqual({ start_s: 4000, end_s: 7000 });
  expect(wanted({ start_s: -500, end_s: 500 }, LIMITS)).toEqual({ start_s: 0, end_s: 1500 });
  expect(wanted({ start_s: 5e6, end_s: 6e6 }, LIMITS)).toEqual(LIMITS);
});

test("it is loaded again when the view leaves what is there", () => {
  const loaded = { start_s: 4000, end_s: 7000 };
  expect(mustLoad({ start_s: 5000, end_s: 6000 }, loaded, LIMITS, 10, 10, 100)).toBe(false);
  expect(mustLoad({ start_s: 3900, end_s: 4900 }, loaded, LIMITS, 10, 10, 100)).toBe(true);
});

test("the emptiness beyond the data is no reason to load", () => {
  const loaded = { start_s: 0, end_s: 1_000_000 };
  expect(mustLoad({ start_s: -9e5, end_s: 2e6 }, loaded, LIMITS, 3600, 60, 800)).toBe(false);
});

test("zooming in asks for finer bars, until there are none", () => {
  const view = { start_s: 500_000, end_s: 500_600 };
  expect(mustLoad(view, LIMITS, LIMITS, 3600, 60, 100)).toBe(true);
  expect(mustLoad(view, LIMITS, LIMITS, 60, 60, 1000)).toBe(false);
});

test("missing bars leave blanks as wide as they were long", () => {
  expect(withBlanks([0, 60, 240, 300], 60, 10)).toEqual([0, 60, 120, 180, 240, 300]);
  expect(withBlanks([0, 60_000], 60, 10)).toEqual([0, 60_000]);
  expect(withBlanks([], 60, 10)).toEqual([]);
});
