/** Instants as people read them: UTC unless they ask for their own zone, and the zone always said. */

import { UNKNOWN } from "./format";

export type Zone = "utc" | "local";
export type Precision = "day" | "minute" | "second" | "millisecond";

const CUT: Record<Precision, number> = { day: 10, minute: 16, second: 19, millisecond: 23 };
const MINUTE_MS = 60_000;

/** `+02:00`, the zone's offset at an instant. */
export function offsetText(ms: number): string {
  const minutes = -new Date(ms).getTimezoneOffset();
  const size = Math.abs(minutes);
  const two = (value: number) => String(value).padStart(2, "0");
  return `${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** What the footer and column heads call the zone. */
export function zoneName(zone: Zone, ms: number = Date.now()): string {
  return zone === "utc" ? "UTC" : `UTC${offsetText(ms)}`;
}

/** `2024-01-31 12:00`, without its zone: for columns whose head names it. */
export function formatInstant(
  ms: number | null | undefined,
  zone: Zone,
  precision: Precision = "minute",
): string {
  if (!isDate(ms)) return UNKNOWN;
  const shift = zone === "utc" ? 0 : new Date(ms).getTimezoneOffset() * MINUTE_MS;
  return new Date(ms - shift).toISOString().replace("T", " ").slice(0, CUT[precision]);
}

/** `2024-01-31 12:00 UTC`. */
export function formatInstantZone(
  ms: number | null | undefined,
  zone: Zone,
  precision: Precision = "minute",
): string {
  return isDate(ms) ? `${formatInstant(ms, zone, precision)} ${zoneName(zone, ms)}` : UNKNOWN;
}

/** The full ISO form, in UTC: for hover, copying and `datetime` attributes. */
export function isoInstant(ms: number | null | undefined): string {
  return isDate(ms) ? new Date(ms).toISOString().replace(".000Z", "Z") : "";
}

/** `2024-01-31`, the day of an instant in UTC. */
export function isoDay(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/** Start of a UTC day written `2024-01-31`, or null when it is no date. */
export function parseDay(text: string): number | null {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return null;
  const ms = Date.parse(`${text}T00:00:00Z`);
  return Number.isNaN(ms) || isoDay(ms) !== text ? null : ms;
}

function isDate(ms: number | null | undefined): ms is number {
  return ms !== null && ms !== undefined && Math.abs(ms) <= 8.64e15;
}
