import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

import type { Dataset } from "../api/types";
import { explainGap, gapRequest } from "./gaps";

const DATASET = {
  exchange: "binance",
  symbol: "BTC/USDT",
  data_type: "ohlc",
  span: "1h",
  depth: null,
} as Dataset;

test("every cause the API knows is explained", () => {
  const words = readFileSync("../app/dccd/domain/gaps.py", "utf8");
  const codes = [...words.matchAll(/^ {4}([A-Z_]+) = "/gm)].map((it) =>
    (it[1] ?? "").toLowerCase(),
  );
  expect(codes.length).toBeGreaterThan(5);
  const unknown = explainGap("other");
  for (const code of codes) expect(explainGap(code), code).not.toBe(unknown);
});

test("one gap is fetched by its own range", () => {
  const gap = { start_ms: 0, end_ms: 3_600_500, cause: "disconnected", code: "disconnected" };
  expect(gapRequest(DATASET, gap)).toEqual({
    exchange: "binance",
    symbol: "BTC/USDT",
    data_type: "ohlc",
    span: "1h",
    depth: null,
    start: "1970-01-01T00:00:00Z",
    end: "1970-01-01T01:00:00.500Z",
  });
  expect(gapRequest(DATASET, { ...gap, code: "outdated" }).derive_from).toBe("trades");
});
