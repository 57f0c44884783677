/** The geometry of a depth chart: amounts summed from the best price outwards, as steps. */

import type { Depth } from "../api/types";

export interface DepthTick {
  x: number;
  price: number;
  anchor: "start" | "middle" | "end";
}

export interface DepthCurves {
  bids: string;
  asks: string;
  bestBid: number;
  bestAsk: number;
  /** The largest sum, at the top of the chart. */
  top: number;
  ticks: DepthTick[];
}

const TICKS = 5;

/** Null for a book without both sides. The price axis reaches as far on one side as on the other. */
export function depthCurves(depth: Depth, width_px: number, height_px: number): DepthCurves | null {
  const bestBid = depth.bids[0]?.[0];
  const bestAsk = depth.asks[0]?.[0];
  const lastBid = depth.bids.at(-1)?.[0];
  const lastAsk = depth.asks.at(-1)?.[0];
  if (
    bestBid === undefined ||
    bestAsk === undefined ||
    lastBid === undefined ||
    lastAsk === undefined
  ) {
    return null;
  }
  const middle = (bestBid + bestAsk) / 2;
  const reach = Math.min(middle - lastBid, lastAsk - middle) || middle * 0.001;
  const [low, high] = [middle - reach, middle + reach];
  const near = (levels: readonly (readonly [number, number])[]) =>
    levels.filter(([price]) => price >= low && price <= high);
  const [bids, asks] = [near(depth.bids), near(depth.asks)];
  const sum = (levels: readonly (readonly [number, number])[]) =>
    levels.reduce((total, [, amount]) => total + amount, 0);
  const top = Math.max(sum(bids), sum(asks)) || 1;
  const x = (price: number) => ((price - low) / (high - low)) * width_px;
  const y = (amount: number) => height_px - (amount / top) * height_px * 0.95;

  const path = (levels: readonly (readonly [number, number])[], edge: number): string => {
    let total = 0;
    let text = `M${round(x(levels[0]?.[0] ?? middle))},${height_px}`;
    for (const [price, amount] of levels) {
      total += amount;
      text += `H${round(x(price))}V${round(y(total))}`;
    }
    return `${text}H${round(edge)}V${height_px}Z`;
  };
  const ticks = Array.from({ length: TICKS }, (_, index): DepthTick => {
    const price = low + ((high - low) * index) / (TICKS - 1);
    const anchor = index === 0 ? "start" : index === TICKS - 1 ? "end" : "middle";
    return { x: x(price), price, anchor };
  });
  return { bids: path(bids, 0), asks: path(asks, width_px), bestBid, bestAsk, top, ticks };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
