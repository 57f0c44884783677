import { describe, expect, test } from "vitest";

import {
  formatCount,
  formatDuration,
  formatEstimate,
  formatExact,
  formatRate,
  formatShare,
  formatSize,
  plural,
} from "./format";

const NBSP = "\u00a0";
const plain = (text: string) => text.replaceAll(NBSP, " ");

test("counts carry the locale's separators, and what is unknown is a dash", () => {
  expect(formatCount(37_923, "en-US")).toBe("37,923");
  expect(formatCount(37_923, "de-DE")).toBe("37.923");
  expect(formatCount(null)).toBe("–");
  expect(formatCount(Number.NaN)).toBe("–");
});

test.each([
  [756, "756"],
  [1234, "1,230"],
  [43_210, "43,200"],
  [999_499, "999,000"],
  [999_600, "1 million"],
  [26_572_061, "26.6 million"],
  [1_062_882_440, "1.06 billion"],
  [null, "–"],
])("an estimate of %s claims no more than %s", (value, text) => {
  expect(plain(formatEstimate(value, "en-US"))).toBe(text);
});

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "1 kB"],
  [1550, "1.6 kB"],
  [999_499, "999 kB"],
  [999_500, "1 MB"],
  [21_500_000, "21.5 MB"],
  [412_300_000_000, "412 GB"],
  [null, "–"],
  [-1, "–"],
])("%s bytes read %s", (bytes, text) => {
  expect(plain(formatSize(bytes, "en-US"))).toBe(text);
});

test.each([
  [0.4, "under 1 s"],
  [1, "1 s"],
  [59.4, "59 s"],
  [59.6, "1 min"],
  [125, "2 min 5 s"],
  [3599.9, "1 h"],
  [3660, "1 h 1 min"],
  [86_399, "1 d"],
  [273_600, "3 d 4 h"],
  [1e9, "11,574 d 2 h"],
  [null, "–"],
  [-3, "–"],
  [Infinity, "–"],
])("%s seconds read %s", (seconds, text) => {
  expect(plain(formatDuration(seconds, "en-US"))).toBe(text);
});

test("rates say of what", () => {
  expect(plain(formatRate(65_431.2, "en-US"))).toBe("65,431 rows/s");
  expect(plain(formatRate(1.25, "en-US"))).toBe("1.3 rows/s");
  expect(formatRate(null)).toBe("–");
});

test("only the whole is 100 %", () => {
  expect(formatShare(1, 3, "en-US")).toBe("33%");
  expect(formatShare(99_999, 100_000, "en-US")).toBe("99.9%");
  expect(formatShare(5, 5, "en-US")).toBe("100%");
  expect(formatShare(6, 5, "en-US")).toBe("100%");
  expect(formatShare(0, 0)).toBe("–");
});

test("one is singular", () => {
  expect(plain(plural(1, "gap", "gaps", "en-US"))).toBe("1 gap");
  expect(plain(plural(2000, "gap", "gaps", "en-US"))).toBe("2,000 gaps");
});

describe("exact numbers", () => {
  test.each([
    [1e-8, "0.00000001"],
    [-1.5e-7, "-0.00000015"],
    [1.234e21, "1234000000000000000000"],
    [0.1, "0.1"],
    [7654321.12345678, "7654321.12345678"],
    [-0, "0"],
  ])("%s is written %s", (value, text) => {
    expect(formatExact(value)).toBe(text);
  });

  test("are the same number when read back", () => {
    for (const value of [5e-324, 1.7976931348623157e308, 4.35e-9, 2 ** 80]) {
      expect(Number(formatExact(value))).toBe(value);
    }
  });
});
