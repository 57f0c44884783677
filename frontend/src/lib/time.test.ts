import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import {
  formatInstant,
  formatInstantZone,
  isoDay,
  isoInstant,
  offsetText,
  parseDay,
  zoneName,
} from "./time";

const MS = Date.parse("2024-01-31T23:05:09.120Z");

describe("in UTC", () => {
  test("an instant is cut to its precision", () => {
    expect(formatInstant(MS, "utc", "day")).toBe("2024-01-31");
    expect(formatInstant(MS, "utc")).toBe("2024-01-31 23:05");
    expect(formatInstant(MS, "utc", "millisecond")).toBe("2024-01-31 23:05:09.120");
  });

  test("the zone is said", () => {
    expect(formatInstantZone(MS, "utc")).toBe("2024-01-31 23:05 UTC");
  });

  test("what is unknown or no date is a dash", () => {
    expect(formatInstant(null, "utc")).toBe("–");
    expect(formatInstant(Number.NaN, "utc")).toBe("–");
    expect(formatInstantZone(9e15, "utc")).toBe("–");
    expect(isoInstant(null)).toBe("");
  });
});

describe("in the local zone", () => {
  beforeEach(() => vi.stubEnv("TZ", "Asia/Kolkata"));
  afterEach(() => vi.unstubAllEnvs());

  test("the clock on the wall shows, with its offset", () => {
    expect(formatInstantZone(MS, "local")).toBe("2024-02-01 04:35 UTC+05:30");
    expect(zoneName("local", MS)).toBe("UTC+05:30");
  });

  test("the offset is that of the instant, not of today", () => {
    vi.stubEnv("TZ", "America/New_York");
    expect(offsetText(MS)).toBe("-05:00");
    expect(offsetText(Date.parse("2024-07-01T00:00:00Z"))).toBe("-04:00");
  });
});

test("the ISO form has no empty fraction", () => {
  expect(isoInstant(MS)).toBe("2024-01-31T23:05:09.120Z");
  expect(isoInstant(0)).toBe("1970-01-01T00:00:00Z");
});

test("days are read in UTC, and days that are none are refused", () => {
  expect(parseDay("2024-02-29")).toBe(Date.parse("2024-02-29T00:00:00Z"));
  expect(parseDay("2023-02-29")).toBeNull();
  expect(parseDay("29.2.2024")).toBeNull();
  expect(parseDay("")).toBeNull();
  expect(isoDay(MS)).toBe("2024-01-31");
});
