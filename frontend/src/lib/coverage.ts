/** The geometry of a coverage bar: what is held and what is missing, over time, in as many pixels. */

export type Span = readonly [start_ms: number, end_ms: number];

export interface Segment {
  x: number;
  width: number;
  state: "held" | "gap";
  /** The intervals of time it stands for. */
  start_ms: number;
  end_ms: number;
  /** Gaps drawn as one because they are nearer than a pixel. */
  count: number;
}

/** A gap of a minute in a year of data is drawn this wide: seen, and hit with a mouse. */
const GAP_MIN_PX = 2;

/** From the first to the last instant of anything asked for or held; null when there is nothing. */
export function extent(...lists: readonly (readonly Span[])[]): Span | null {
  let start = Infinity;
  let end = -Infinity;
  for (const list of lists) {
    for (const [from, to] of list) {
      if (from < start) start = from;
      if (to > end) end = to;
    }
  }
  return end > start ? [start, end] : null;
}

/** Held intervals to scale, and over them the gaps, never narrower than they can be seen. */
export function segments(
  covered: readonly Span[],
  gaps: readonly Span[],
  range: Span,
  width_px: number,
): Segment[] {
  const [start, end] = range;
  const scale = width_px / (end - start);
  if (!Number.isFinite(scale) || scale <= 0) return [];
  const clamp = (ms: number) => Math.min(end, Math.max(start, ms));

  const held: Segment[] = [];
  for (const [from, to] of covered) {
    const [a, b] = [clamp(from), clamp(to)];
    if (b <= a) continue;
    const x = (a - start) * scale;
    held.push({
      x,
      width: Math.max(1, (b - a) * scale),
      state: "held",
      start_ms: from,
      end_ms: to,
      count: 1,
    });
  }

  const missing: Segment[] = [];
  for (const [from, to] of [...gaps].sort((a, b) => a[0] - b[0])) {
    const [a, b] = [clamp(from), clamp(to)];
    if (b <= a) continue;
    const natural = (b - a) * scale;
    const width = Math.max(GAP_MIN_PX, natural);
    const x = Math.min((a - start) * scale - (width - natural) / 2, width_px - width);
    const before = missing.at(-1);
    if (before !== undefined && x < before.x + before.width + 1) {
      before.width = Math.max(before.width, x + width - before.x);
      before.end_ms = Math.max(before.end_ms, to);
      before.count += 1;
    } else {
      missing.push({
        x: Math.max(0, x),
        width,
        state: "gap",
        start_ms: from,
        end_ms: to,
        count: 1,
      });
    }
  }
  return [...held, ...missing];
}
