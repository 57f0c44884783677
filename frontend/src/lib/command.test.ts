import { expect, test } from "vitest";

import { backfillCommand, shellWord } from "./command";

const NOWHERE = { data_path: null, config: null };

test("the command says what the form says", () => {
  expect(
    backfillCommand(
      {
        exchange: "binance",
        symbol: "BTC/USDT",
        data_type: "ohlc",
        span: "1h",
        start: "2024-01-01",
      },
      NOWHERE,
    ),
  ).toBe("dccd backfill binance BTC/USDT --span 1h --start 2024-01-01");
  expect(
    backfillCommand(
      {
        exchange: "binance",
        symbol: "BTC/USDT:USDT",
        data_type: "trades",
        start: "origin",
        end: "2024-02-01",
      },
      NOWHERE,
    ),
  ).toBe("dccd backfill binance BTC/USDT:USDT --type trades --start origin --end 2024-02-01");
});

test("the command goes to the data and the configuration the window has", () => {
  const request = { exchange: "binance", symbol: "BTC/USDT", data_type: "ohlc" } as const;
  const places = { data_path: "/mnt/my disk/data", config: "/etc/dccd.toml" };
  expect(backfillCommand(request, places)).toBe(
    "dccd backfill binance BTC/USDT --data-path '/mnt/my disk/data' --config /etc/dccd.toml",
  );
});

test("a hostile symbol stays one word", () => {
  expect(shellWord("x; rm -rf ~")).toBe("'x; rm -rf ~'");
  expect(shellWord("it's")).toBe(`'it'\\''s'`);
  expect(shellWord("")).toBe("''");
});
