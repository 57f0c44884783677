import { expect, test } from "vitest";

import type { Run, RunProgress } from "../api/types";
import { secondsLeft, superseded } from "./names";

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
