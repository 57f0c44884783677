import { expect, test } from "vitest";

import type { Run, RunProgress } from "../api/types";
import { datasetWords, runSubject, secondsLeft, shortKind, superseded } from "./names";

const RUN: Run = {
  run_id: "1",
  spec_id: null,
  operation: "backfill",
  exchange: "binance",
  symbol: "BTC/USDT",
  data_type: "ohlc",
  span: "1h",
  dataset: "binance:BTC-USDT:ohlc:1h",
  state: "failed",
  started_ms: 0,
  ended_ms: null,
  start_ms: null,
  end_ms: null,
  rows_written: 0,
  error: null,
  progress: null,
  params: {},
};
const PROGRESS: RunProgress = {
  done: 1,
  total: 2,
  unit: "s",
  rows: 10,
  rows_per_s: 5,
  eta_s: 60,
  waiting: null,
};

test("only the newest run of a dataset stands for it", () => {
  const runs = [
    { ...RUN, run_id: "3" },
    { ...RUN, run_id: "2", dataset: "binance:ETH-USDT:ohlc:1h" },
    RUN,
  ];
  expect([...superseded(runs)]).toEqual(["1"]);
});

test("runs that found no dataset are told apart by what was asked for", () => {
  const runs = [
    { ...RUN, run_id: "3", dataset: null },
    { ...RUN, run_id: "2", dataset: null, span: "1d" },
    { ...RUN, dataset: null },
  ];
  expect([...superseded(runs)]).toEqual(["1"]);
});

test("a run that waits or stands still foresees no end", () => {
  expect(secondsLeft({ ...RUN, progress: PROGRESS })).toBe(60);
  expect(secondsLeft({ ...RUN, progress: { ...PROGRESS, rows_per_s: 0 } })).toBeNull();
  expect(secondsLeft({ ...RUN, progress: { ...PROGRESS, rows_per_s: null } })).toBeNull();
  const waiting = "Binance does not answer (timeout); trying again in 8 s";
  expect(secondsLeft({ ...RUN, progress: { ...PROGRESS, waiting } })).toBeNull();
  expect(secondsLeft(RUN)).toBeNull();
});

test("a dataset's id is said in words, and anything else as it is", () => {
  expect(datasetWords("binance:BTC-USDT:ohlc:1h")).toBe("BTC/USDT Candles 1h, binance");
  expect(datasetWords("binance:BTC-USDT_USDT:trades")).toBe("BTC/USDT:USDT Trades, binance");
  expect(datasetWords("binance:BTC-USDT:toString")).toBe("binance:BTC-USDT:toString");
  expect(datasetWords("binance:%E5%B8%81-USDT:trades")).toBe("币/USDT Trades, binance");
  expect(datasetWords("binance:%ZZ-USDT:trades")).toBe("%ZZ/USDT Trades, binance");
  expect(datasetWords("<b>")).toBe("<b>");
});

test("a run without a symbol names its datasets or its folder", () => {
  const id = "binance:BTC-USDT:ohlc:1h";
  expect(runSubject({ ...RUN, params: { datasets: [id] } })).toBe("BTC/USDT Candles 1h, binance");
  expect(runSubject({ ...RUN, params: { datasets: [id, id] } })).toBe("2\u00a0datasets");
  expect(runSubject({ ...RUN, params: { folder: "/new" } })).toBe("/new");
  expect(runSubject(RUN)).toBe("");
});

test("where room is short the span comes before what it is the span of", () => {
  expect(shortKind({ data_type: "ohlc", span: "1h" })).toBe("1h Candles");
  expect(shortKind({ data_type: "orderbook", depth: 100 })).toBe("100 levels Order book");
  expect(shortKind({ data_type: "trades" })).toBe("Trades");
});
