import { expect, test } from "vitest";

import { LIST_MAX_PX, listHeight, scrollToRow, visibleSlice } from "./virtual";

test("only the rows in view and some around them are made", () => {
  const slice = visibleSlice(10_000, 36, 3600, 360, 8);
  expect(slice).toEqual({ first: 92, last: 118, offset_px: 92 * 36 });
});

test("the ends of the list bound the slice", () => {
  expect(visibleSlice(5, 36, 0, 360)).toEqual({ first: 0, last: 5, offset_px: 0 });
  expect(visibleSlice(0, 36, 0, 360)).toEqual({ first: 0, last: 0, offset_px: 0 });
  expect(visibleSlice(100, 36, 1e9, 360).last).toBe(100);
  expect(visibleSlice(100, 36, -50, 360).first).toBe(0);
});

test("a list of a hundred million rows is scrolled from its first row to its last", () => {
  const count = 100_000_000;
  const height = listHeight(count, 26);
  expect(height).toBe(LIST_MAX_PX);
  expect(visibleSlice(count, 26, 0, 520, 0).first).toBe(0);
  const end = visibleSlice(count, 26, height - 520, 520, 0);
  expect(end.last).toBe(count);
  // The last row's lower edge stands at the list's own.
  expect(end.offset_px + (end.last - end.first) * 26).toBeCloseTo(height, 3);
});

test("rows in view stand where the screen looks, wherever it is", () => {
  const count = 100_000_000;
  for (const scroll of [0, 1, 777_777, 9_999_999]) {
    const { first, last, offset_px } = visibleSlice(count, 26, scroll, 520, 3);
    expect(offset_px).toBeLessThanOrEqual(scroll);
    expect(offset_px + (last - first) * 26).toBeGreaterThanOrEqual(scroll + 520);
  }
});

test("a row is scrolled to only when it is out of view", () => {
  expect(scrollToRow(3, 100, 36, 0, 360)).toBeNull();
  expect(scrollToRow(20, 100, 36, 0, 360)).toBe(21 * 36 - 360);
  expect(scrollToRow(2, 100, 36, 360, 360)).toBe(72);
});
