/** Numbers as people read them: in the user's locale, with a unit. Copies are plain, see plain-copy. */

const NBSP = "\u00a0";
const SIZE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** What stands where a figure is not known. */
export const UNKNOWN = "–";

export function formatCount(value: number | null | undefined, locale?: string): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  return new Intl.NumberFormat(locale, { maximumFractionDigits: 0 }).format(value);
}

/** What is only reckoned, in three digits: `756`, `26,600`, `26.6 million`. */
export function formatEstimate(value: number | null | undefined, locale?: string): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  return new Intl.NumberFormat(locale, {
    maximumSignificantDigits: 3,
    ...(value >= 999_500 ? { notation: "compact", compactDisplay: "long" } : {}),
  }).format(value);
}

/** Decimal units (1 kB is 1000 bytes), as disks are sold and as file managers on Linux and macOS count. */
export function formatSize(bytes: number | null | undefined, locale?: string): string {
  if (bytes === null || bytes === undefined || !Number.isFinite(bytes) || bytes < 0) return UNKNOWN;
  let value = bytes;
  let unit = 0;
  // 999,500 B would be rounded to "1,000 kB": the next unit begins where rounding reaches it.
  while (unit < SIZE_UNITS.length - 1 && value >= (unit === 0 ? 1000 : 999.5)) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  const text = new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value);
  return `${text}${NBSP}${SIZE_UNITS[unit] ?? ""}`;
}

export function formatRate(perSecond: number | null | undefined, locale?: string): string {
  if (perSecond === null || perSecond === undefined || !Number.isFinite(perSecond)) return UNKNOWN;
  const digits = perSecond > 0 && perSecond < 10 ? 1 : 0;
  const text = new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(perSecond);
  return `${text}${NBSP}rows/s`;
}

const STEPS = [
  { unit: "d", seconds: 86_400 },
  { unit: "h", seconds: 3600 },
  { unit: "min", seconds: 60 },
  { unit: "s", seconds: 1 },
] as const;

/** The two largest units that say something: `4 s`, `2 min 5 s`, `3 d 4 h`. */
export function formatDuration(seconds: number | null | undefined, locale?: string): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds) || seconds < 0) {
    return UNKNOWN;
  }
  if (seconds < 1) return `under${NBSP}1${NBSP}s`;
  const first = STEPS.findIndex((step) => seconds >= step.seconds);
  const head = STEPS[first];
  if (head === undefined) return UNKNOWN;
  const tail = STEPS[first + 1];
  // Rounded to the smaller of the two units first, so that 59.6 min never reads "59 min 60 s".
  const grain = tail?.seconds ?? 1;
  const rounded = Math.round(seconds / grain) * grain;
  const whole = Math.floor(rounded / head.seconds);
  const before = STEPS[first - 1];
  if (before !== undefined && rounded >= before.seconds) return `1${NBSP}${before.unit}`;
  const rest = Math.round((rounded - whole * head.seconds) / grain);
  const text = `${new Intl.NumberFormat(locale).format(whole)}${NBSP}${head.unit}`;
  return tail !== undefined && rest > 0 ? `${text} ${rest}${NBSP}${tail.unit}` : text;
}

/** Share of a whole; 100 % only when nothing at all is missing. */
export function formatShare(done: number, total: number, locale?: string): string {
  if (total <= 0) return UNKNOWN;
  const share = Math.min(1, Math.max(0, done / total));
  const shown = share < 1 ? Math.min(share, 0.999) : 1;
  const digits = shown > 0.99 && shown < 1 ? 1 : 0;
  return new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: digits }).format(
    digits === 1 ? Math.floor(shown * 1000) / 1000 : shown,
  );
}

/** "1 row", "12 rows". */
export function plural(count: number, one: string, many = `${one}s`, locale?: string): string {
  return `${formatCount(count, locale)}${NBSP}${count === 1 ? one : many}`;
}

/** A number as it is, digit for digit and never as `1e-8`: for tables of data. */
export function formatExact(value: number): string {
  const text = String(value);
  const match = /^(-?)(\d+)(?:\.(\d+))?e([+-]\d+)$/.exec(text);
  if (match === null) return text;
  const [, sign = "", whole = "", fraction = "", power = "0"] = match;
  const point = whole.length + Number(power);
  const digits = whole + fraction;
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`;
  const head = digits.slice(0, point).padEnd(point, "0");
  return digits.length > point ? `${sign}${head}.${digits.slice(point)}` : `${sign}${head}`;
}
