import { describe, expect, test } from "vitest";

import type { Capability, Exchange, Market } from "../api/types";
import {
  basisOf,
  change,
  dataTypesOf,
  depthsOf,
  EMPTY_CHOICE,
  fieldErrors,
  hasRange,
  lookbackOf,
  marketsOf,
  possible,
  requestOf,
  spansOf,
  type Choice,
} from "./collect";

const NOW = Date.parse("2024-06-15T12:00:00Z");

function capability(
  part: Partial<Capability> & Pick<Capability, "data_type" | "markets">,
): Capability {
  return {
    transport: "rest",
    mode: "historical",
    history: "full",
    lookback_s: null,
    rows_max: {},
    direction: "forward",
    spans: {},
    depths: [],
    evidence: "recorded",
    docs: "",
    ...part,
  };
}

const EVERYWHERE: Market[] = ["spot", "linear"];
const BIG: Exchange = {
  id: "big",
  name: "Big",
  confirmed: [],
  capabilities: [
    capability({
      data_type: "ohlc",
      markets: EVERYWHERE,
      spans: { spot: ["1h", "1s", "1mo", "1d"], linear: ["1h"] },
    }),
    capability({ data_type: "orderbook", markets: ["spot"], depths: [5000, 5], history: "recent" }),
    capability({ data_type: "funding", markets: ["linear"] }),
    capability({
      data_type: "open_interest",
      markets: ["linear"],
      spans: { linear: ["5m"] },
      history: "recent",
      lookback_s: 2_592_000,
    }),
    capability({ data_type: "trades", markets: ["inverse"], mode: "live" }),
  ],
};
const SMALL: Exchange = {
  id: "small",
  name: "Small",
  confirmed: [],
  capabilities: [capability({ data_type: "trades", markets: ["spot"] })],
};

const chosen = (part: Partial<Choice> = {}): Choice =>
  possible({ ...EMPTY_CHOICE, exchange: "big", symbol: "BTC/USDT", ...part }, [BIG, SMALL]);

describe("what is offered", () => {
  test("markets with a past, not those that are live only", () => {
    expect(marketsOf(BIG)).toEqual(["spot", "linear"]);
  });

  test("data types of the market", () => {
    expect(dataTypesOf(BIG, "spot")).toEqual(["ohlc", "orderbook"]);
    expect(dataTypesOf(BIG, "linear")).toEqual(["ohlc", "funding", "open_interest"]);
  });

  test("spans by length, depths by number", () => {
    expect(spansOf(BIG, "spot", "ohlc")).toEqual(["1s", "1h", "1d", "1mo"]);
    expect(spansOf(BIG, "spot", "orderbook")).toEqual([]);
    expect(depthsOf(BIG, "spot", "orderbook")).toEqual([5, 5000]);
  });

  test("how far back, where there is a limit", () => {
    expect(lookbackOf(BIG, "linear", "open_interest")).toBe(2_592_000);
    expect(lookbackOf(BIG, "spot", "ohlc")).toBeNull();
  });

  test("a snapshot has no range", () => {
    expect(hasRange("orderbook")).toBe(false);
    expect(hasRange("trades")).toBe(true);
  });
});

describe("what the choice rests on", () => {
  const documented: Exchange = {
    ...BIG,
    capabilities: BIG.capabilities.map((it) => ({ ...it, evidence: "documented" })),
  };
  const check = {
    data_type: "ohlc",
    market: "spot",
    transport: "rest",
    dataset: "",
    rows: 1,
  } as const;

  test("recorded answers need no word", () => {
    expect(basisOf(BIG, "spot", "ohlc")).toEqual({ documentedOnly: false, confirmed_ms: null });
  });

  test("documentation alone, until a check of this market and data has passed", () => {
    const confirmed = [{ ...check, checked_ms: 5 }];
    const seen: Exchange = { ...documented, confirmed };
    expect(basisOf(documented, "spot", "ohlc")).toEqual({
      documentedOnly: true,
      confirmed_ms: null,
    });
    expect(basisOf(seen, "spot", "ohlc").confirmed_ms).toBe(5);
    expect(basisOf(seen, "linear", "ohlc").confirmed_ms).toBeNull();
    expect(basisOf(seen, "spot", "orderbook").confirmed_ms).toBeNull();
  });

  test("what only streams has no past to be doubted", () => {
    expect(basisOf(documented, "inverse", "trades").documentedOnly).toBe(false);
  });
});

describe("a choice that is no longer possible", () => {
  test("keeps what can stay", () => {
    expect(chosen({ span: "1d" })).toMatchObject({
      data_type: "ohlc",
      span: "1d",
      symbol: "BTC/USDT",
    });
  });

  test("takes the usual span where its own is not offered", () => {
    expect(chosen({ market: "linear", span: "1s" }).span).toBe("1h");
  });

  test("drops the symbol with its market or exchange, and with nothing else", () => {
    const all = [BIG, SMALL];
    const spot = chosen();
    expect(change(spot, { span: "1d" }, all).symbol).toBe("BTC/USDT");
    expect(change(spot, { market: "linear" }, all)).toMatchObject({ market: "linear", symbol: "" });
    expect(change(spot, { exchange: "small" }, all)).toMatchObject({
      exchange: "small",
      data_type: "trades",
      span: "",
      symbol: "",
    });
  });

  test("never reaches further back than the exchange", () => {
    expect(chosen({ market: "linear", data_type: "open_interest", preset: "listing" }).preset).toBe(
      "30d",
    );
  });

  test("takes the deepest book", () => {
    expect(chosen({ data_type: "orderbook" }).depth).toBe(5000);
  });

  test("is left alone while no exchange is known", () => {
    expect(possible(EMPTY_CHOICE, [])).toEqual(EMPTY_CHOICE);
  });
});

describe("the request", () => {
  const request = (part: Partial<Choice>) => requestOf(chosen(part), NOW);

  test("of a preset", () => {
    expect(request({ preset: "30d" }).request).toEqual({
      exchange: "big",
      symbol: "BTC/USDT",
      data_type: "ohlc",
      span: "1h",
      start: "2024-05-16",
    });
    expect(request({ preset: "year" }).request?.start).toBe("2024-01-01");
    expect(request({ preset: "listing" }).request?.start).toBe("origin");
  });

  test("of days: the last one is in it", () => {
    expect(
      request({ preset: "custom", from: "2024-01-01", to: "2024-01-31" }).request,
    ).toMatchObject({
      start: "2024-01-01",
      end: "2024-02-01",
    });
  });

  test("up to today or open has no end", () => {
    expect(
      request({ preset: "custom", from: "2024-01-01", to: "2024-06-15" }).request?.end,
    ).toBeUndefined();
    expect(request({ preset: "custom", from: "2024-01-01" }).request?.end).toBeUndefined();
  });

  test("of a snapshot has a depth and no range", () => {
    expect(request({ data_type: "orderbook" }).request).toEqual({
      exchange: "big",
      symbol: "BTC/USDT",
      data_type: "orderbook",
      depth: 5000,
    });
  });

  test.each([
    [{ symbol: "  " }, "symbol"],
    [{ preset: "custom" }, "start"],
    [{ preset: "custom", from: "2024-02-30" }, "start"],
    [{ preset: "custom", from: "2024-06-16" }, "start"],
    [{ preset: "custom", from: "2024-03-01", to: "2024-02-01" }, "end"],
    [{ preset: "custom", from: "2024-03-01", to: "2025-01-01" }, "end"],
  ] as [Partial<Choice>, string][])("%j is refused at %s", (part, field) => {
    const { errors } = request(part);
    expect(Object.keys(errors ?? {})).toEqual([field]);
  });
});

describe("the server's refusal", () => {
  test("stands beside its field", () => {
    expect(fieldErrors("unknown_symbol", "There is none.", [])).toEqual({
      symbol: "There is none.",
    });
    expect(
      fieldErrors("invalid_request", "?", [{ field: "body.end", message: "is wrong" }]),
    ).toEqual({
      end: "is wrong",
    });
  });

  test("belongs to no field where it is about something else", () => {
    expect(fieldErrors("network", "No answer.", [])).toBeNull();
    expect(fieldErrors("invalid_request", "?", [{ field: "toString", message: "x" }])).toBeNull();
  });
});
