/**
 * The arithmetic between a chart's own axis (the index of a bar, fractions and overruns included) and time,
 * and what to ask the server for when the view moves.
 */

export interface TimeWindow {
  start_s: number;
  end_s: number;
}

/** The instant at an index of the axis; beyond either end bars go on at their usual distance. */
export function timeAt(times: readonly number[], step_s: number, index: number): number {
  const last = times.length - 1;
  const first_s = times[0];
  const last_s = times[last];
  if (first_s === undefined || last_s === undefined) return 0;
  if (index <= 0) return first_s + index * step_s;
  if (index >= last) return last_s + (index - last) * step_s;
  const below = Math.floor(index);
  const a = times[below] ?? first_s;
  const b = times[below + 1] ?? last_s;
  return a + (index - below) * (b - a);
}

/** The inverse of {@link timeAt}. */
export function indexAt(times: readonly number[], step_s: number, time_s: number): number {
  const last = times.length - 1;
  const first_s = times[0];
  const last_s = times[last];
  if (first_s === undefined || last_s === undefined) return 0;
  if (time_s <= first_s) return (time_s - first_s) / step_s;
  if (time_s >= last_s) return last + (time_s - last_s) / step_s;
  let low = 0;
  let high = last;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? 0) <= time_s) low = middle;
    else high = middle;
  }
  const a = times[low] ?? first_s;
  const b = times[high] ?? last_s;
  return low + (b > a ? (time_s - a) / (b - a) : 0);
}

/** The view and one screen more on both sides, within what the dataset holds. */
export function wanted(view: TimeWindow, limits: TimeWindow): TimeWindow {
  const width = Math.max(1, view.end_s - view.start_s);
  const start_s = Math.max(limits.start_s, Math.floor(view.start_s - width));
  const end_s = Math.min(limits.end_s, Math.ceil(view.end_s + width));
  return end_s > start_s ? { start_s, end_s } : limits;
}

/** Whether what is loaded no longer serves the view: it runs out, or is too coarse or far too fine for it. */
export function mustLoad(
  view: TimeWindow,
  loaded: TimeWindow,
  limits: TimeWindow,
  loaded_step_s: number,
  finest_step_s: number,
  bars_on_screen: number,
): boolean {
  const start_s = Math.max(view.start_s, limits.start_s);
  const end_s = Math.min(view.end_s, limits.end_s);
  if (start_s < loaded.start_s || end_s > loaded.end_s) return true;
  const ideal_s = Math.max(
    finest_step_s,
    (view.end_s - view.start_s) / Math.max(1, bars_on_screen),
  );
  return loaded_step_s > ideal_s * 1.5 && loaded_step_s > finest_step_s;
}

/**
 * The times of a series with the missing bars put back, so that a gap is as wide as it was long.
 *
 * Nothing is put back where that would be more than `limit` places in all (an irregular series).
 */
export function withBlanks(times: readonly number[], step_s: number, limit: number): number[] {
  const filled: number[] = [];
  let blanks = 0;
  for (const [index, time] of times.entries()) {
    const before = times[index - 1];
    if (before !== undefined && step_s > 0) {
      const missing = Math.round((time - before) / step_s) - 1;
      if (missing > 0) {
        blanks += missing;
        if (blanks > limit) return [...times];
        for (let step = 1; step <= missing; step += 1) filled.push(before + step * step_s);
      }
    }
    filled.push(time);
  }
  return filled;
}
