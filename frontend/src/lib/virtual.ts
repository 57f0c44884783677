/** Which rows of a long list are worth having in the page. */

export interface Slice {
  /** First row, inclusive. */
  first: number;
  /** Last row, exclusive. */
  last: number;
  /** Space above the first row, in pixels. */
  offset_px: number;
}

/** Chromium lays nothing out beyond some 33 million pixels; well below it, so that every engine agrees. */
export const LIST_MAX_PX = 15_000_000;

export function listHeight(count: number, row_px: number): number {
  return Math.min(count * row_px, LIST_MAX_PX);
}

/**
 * The rows on screen and `overscan` more on both sides.
 *
 * A list taller than {@link LIST_MAX_PX} is scrolled in proportion: the top of the scroll range shows
 * the first row, its bottom the last.
 */
export function visibleSlice(
  count: number,
  row_px: number,
  scroll_px: number,
  view_px: number,
  overscan = 8,
): Slice {
  if (count <= 0 || row_px <= 0) return { first: 0, last: 0, offset_px: 0 };
  const full_px = count * row_px;
  const laid_px = listHeight(count, row_px);
  const range_px = Math.max(1, laid_px - view_px);
  const scrolled_px = Math.min(Math.max(0, scroll_px), range_px);
  const top_px =
    full_px > laid_px
      ? (scrolled_px / range_px) * (full_px - view_px)
      : Math.min(scrolled_px, full_px);
  const first = Math.max(0, Math.floor(top_px / row_px) - overscan);
  const last = Math.min(count, Math.ceil((top_px + view_px) / row_px) + overscan);
  return { first, last, offset_px: scrolled_px - top_px + first * row_px };
}

/** Where to scroll so that a row is in view, or null when it is already. */
export function scrollToRow(
  index: number,
  count: number,
  row_px: number,
  scroll_px: number,
  view_px: number,
): number | null {
  const full_px = count * row_px;
  const laid_px = listHeight(count, row_px);
  const scale = full_px > laid_px ? (laid_px - view_px) / (full_px - view_px) : 1;
  const top_px = scroll_px / scale;
  if (index * row_px < top_px) return index * row_px * scale;
  if ((index + 1) * row_px > top_px + view_px) return ((index + 1) * row_px - view_px) * scale;
  return null;
}
