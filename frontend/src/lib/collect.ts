/** The Collect form's rules: it offers what the exchange declares, and nothing else. */

import type {
  BackfillRequest,
  Capability,
  DataType,
  Exchange,
  FieldError,
  Market,
} from "../api/types";
import { isoDay, parseDay } from "./time";

export type Preset = "30d" | "year" | "listing" | "custom";

export interface Choice {
  exchange: string;
  market: Market;
  data_type: DataType;
  symbol: string;
  /** "" where the data type has none. */
  span: string;
  /** 0 where the data type has none. */
  depth: number;
  preset: Preset;
  /** Days as `2024-01-31`, both inclusive; "" is open. */
  from: string;
  to: string;
}

export type Field =
  "exchange" | "market" | "data_type" | "symbol" | "span" | "depth" | "start" | "end";
export type FieldErrors = Partial<Record<Field, string>>;

export const MARKET_NAMES: Record<Market, string> = {
  spot: "Spot",
  linear: "Linear futures",
  inverse: "Inverse futures",
};

export const DATA_TYPE_NAMES: Record<DataType, string> = {
  ohlc: "Candles",
  trades: "Trades",
  orderbook: "Order book",
  book_updates: "Order book changes",
  funding: "Funding rates",
  open_interest: "Open interest",
};

const MARKETS: readonly Market[] = ["spot", "linear", "inverse"];
const DAY_MS = 86_400_000;
const NO_DATE = "Write a day that exists, such as 2024-01-31.";
const UNIT_S: Record<string, number> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
  mo: 2_592_000,
};

export function pastCapabilities(exchange: Exchange, market?: Market): Capability[] {
  return exchange.capabilities.filter(
    (it) => it.mode === "historical" && (market === undefined || it.markets.includes(market)),
  );
}

export function marketsOf(exchange: Exchange): Market[] {
  return MARKETS.filter((market) => pastCapabilities(exchange, market).length > 0);
}

export function dataTypesOf(exchange: Exchange, market: Market): DataType[] {
  const offered = new Set(pastCapabilities(exchange, market).map((it) => it.data_type));
  return (Object.keys(DATA_TYPE_NAMES) as DataType[]).filter((type) => offered.has(type));
}

function offers(exchange: Exchange, market: Market, type: DataType): Capability[] {
  return pastCapabilities(exchange, market).filter((it) => it.data_type === type);
}

export function spansOf(exchange: Exchange, market: Market, type: DataType): string[] {
  const all = new Set(offers(exchange, market, type).flatMap((it) => it.spans[market] ?? []));
  return [...all].sort((a, b) => spanSeconds(a) - spanSeconds(b));
}

export function depthsOf(exchange: Exchange, market: Market, type: DataType): number[] {
  return [...new Set(offers(exchange, market, type).flatMap((it) => it.depths))].sort(
    (a, b) => a - b,
  );
}

/** Seconds the exchange looks back, or null when it keeps everything. */
export function lookbackOf(exchange: Exchange, market: Market, type: DataType): number | null {
  const found = offers(exchange, market, type);
  if (found.length === 0 || found.some((it) => it.history === "full")) return null;
  return Math.max(...found.map((it) => it.lookback_s ?? 0));
}

export interface Basis {
  documentedOnly: boolean;
  /** When a check on this data folder last found no difference; null when none has. */
  confirmed_ms: number | null;
}

/** What the form's choice rests on: somebody's recorded answers, or the exchange's documentation alone. */
export function basisOf(exchange: Exchange, market: Market, type: DataType): Basis {
  const found = offers(exchange, market, type);
  const checks = exchange.confirmed.filter((it) => it.market === market && it.data_type === type);
  return {
    documentedOnly: found.length > 0 && found.every((it) => it.evidence === "documented"),
    confirmed_ms: checks.length > 0 ? Math.max(...checks.map((it) => it.checked_ms)) : null,
  };
}

/** A snapshot is of now: it has no range. */
export function hasRange(type: DataType): boolean {
  return type !== "orderbook";
}

export function spanSeconds(span: string): number {
  const match = /^(\d+)(mo|[smhdw])$/.exec(span);
  return match === null ? Infinity : Number(match[1]) * (UNIT_S[match[2] ?? ""] ?? Infinity);
}

export const EMPTY_CHOICE: Choice = {
  exchange: "",
  market: "spot",
  data_type: "ohlc",
  symbol: "",
  span: "",
  depth: 0,
  preset: "30d",
  from: "",
  to: "",
};

/** The nearest choice that is possible: what can stay stays, what cannot becomes the usual one. */
export function possible(choice: Choice, exchanges: readonly Exchange[]): Choice {
  const exchange = exchanges.find((it) => it.id === choice.exchange) ?? exchanges[0];
  if (exchange === undefined) return choice;
  const market = keep(choice.market, marketsOf(exchange), "spot") ?? "spot";
  const data_type = keep(choice.data_type, dataTypesOf(exchange, market), "ohlc") ?? "ohlc";
  const span = keep(choice.span, spansOf(exchange, market, data_type), "1h") ?? "";
  const depths = depthsOf(exchange, market, data_type);
  const depth = depths.includes(choice.depth) ? choice.depth : (depths.at(-1) ?? 0);
  const recent = lookbackOf(exchange, market, data_type) !== null;
  const preset = recent && choice.preset !== "custom" ? "30d" : choice.preset;
  return { ...choice, exchange: exchange.id, market, data_type, span, depth, preset };
}

/** The choice with a part of it changed; another market or exchange has other symbols. */
export function change(
  choice: Choice,
  part: Partial<Choice>,
  exchanges: readonly Exchange[],
): Choice {
  const next = possible({ ...choice, ...part }, exchanges);
  const moved = next.exchange !== choice.exchange || next.market !== choice.market;
  return moved ? { ...next, symbol: "" } : next;
}

function keep<T>(wanted: T, offered: readonly T[], usual: T): T | undefined {
  if (offered.includes(wanted)) return wanted;
  return offered.includes(usual) ? usual : offered[0];
}

/** What the form says so far: a request, or what is wrong beside which field. */
export function requestOf(
  choice: Choice,
  now_ms: number,
): { request: BackfillRequest; errors: null } | { request: null; errors: FieldErrors } {
  const errors: FieldErrors = {};
  const symbol = choice.symbol.trim();
  if (symbol === "") errors.symbol = "Choose a symbol.";
  const request: BackfillRequest = {
    exchange: choice.exchange,
    symbol,
    data_type: choice.data_type,
  };
  if (choice.span !== "") request.span = choice.span;
  if (choice.depth > 0) request.depth = choice.depth;
  if (hasRange(choice.data_type)) Object.assign(request, rangeOf(choice, now_ms, errors));
  return Object.keys(errors).length > 0 ? { request: null, errors } : { request, errors: null };
}

function rangeOf(
  choice: Choice,
  now_ms: number,
  errors: FieldErrors,
): { start?: string; end?: string } {
  switch (choice.preset) {
    case "30d":
      return { start: isoDay(now_ms - 30 * DAY_MS) };
    case "year":
      return { start: `${new Date(now_ms).getUTCFullYear()}-01-01` };
    case "listing":
      return { start: "origin" };
    case "custom": {
      const from = parseDay(choice.from);
      if (from === null) errors.start = choice.from === "" ? "Say from which day on." : NO_DATE;
      else if (from >= now_ms) errors.start = "This day is still to come.";
      if (choice.to === "") return { start: choice.from };
      const to = parseDay(choice.to);
      if (to === null) errors.end = NO_DATE;
      else if (from !== null && to < from) errors.end = "This is before the first day.";
      else if (to > now_ms)
        errors.end = "This day is still to come; leave it empty for “until now”.";
      // The last day is meant to be in it; the request's end is exclusive.
      const end_ms = (to ?? 0) + DAY_MS;
      return end_ms < now_ms ? { start: choice.from, end: isoDay(end_ms) } : { start: choice.from };
    }
  }
}

const FIELD_BY_CODE: Record<string, Field> = {
  unknown_exchange: "exchange",
  unknown_symbol: "symbol",
  ambiguous_symbol: "symbol",
  invalid_span: "span",
  invalid_range: "start",
  no_capability: "data_type",
};

/** The server's refusal, beside the fields it is about; null when it is about none. */
export function fieldErrors(
  code: string,
  detail: string,
  errors: readonly FieldError[],
): FieldErrors | null {
  const found: FieldErrors = {};
  for (const { field, message } of errors) {
    const name = field.split(".").at(-1) ?? "";
    if (isField(name)) found[name] = message;
  }
  const field = FIELD_BY_CODE[code];
  if (field !== undefined && Object.keys(found).length === 0) found[field] = detail;
  return Object.keys(found).length > 0 ? found : null;
}

function isField(name: string): name is Field {
  return ["exchange", "market", "data_type", "symbol", "span", "depth", "start", "end"].includes(
    name,
  );
}
