import { expect, test } from "vitest";

import { counted, isNews, problemKey, recoveringShare } from "./notices";

test("a problem that was closed comes back only when it is another one", () => {
  const wait = (free: string) =>
    `Downloads wait for room on the disk: ${free} GB free, 1.0 GB to be kept free`;
  const closed = new Set([problemKey(wait("0.9")), problemKey("2023.parquet is damaged")]);
  expect(isNews([wait("0.4"), "2023.parquet is damaged"], closed)).toBe(false);
  expect(isNews(["2024.parquet is damaged"], closed)).toBe(true);
  expect(isNews([], new Set())).toBe(false);
});

test("a start says how far it is where that is known", () => {
  expect(recoveringShare({ step: "reading journals", done: 2, total: 5 })).toMatch(/^40\s?%$/);
  expect(recoveringShare({ step: "reading journals", done: 2, total: null })).toBe("");
});

test("what is told many times is listed once, with a count", () => {
  expect(counted(["a", "b", "a"])).toEqual([
    { text: "a", count: 2 },
    { text: "b", count: 1 },
  ]);
  expect(counted([])).toEqual([]);
});
