/** What runs found out, read from the JSON that is kept with them: missing members read as nothing. */

import type { JsonValue } from "../api/types";
import { formatExact, plural } from "./format";

type Json = Record<string, JsonValue>;

export interface Finding {
  severity: "error" | "warning";
  file: string;
  text: string;
  advice: string;
  mendable: boolean;
  mended: boolean;
}

export interface Verified {
  dataset: string;
  files: number;
  rows: number;
  size_bytes: number;
  errors: number;
  warnings: number;
  problems: Finding[];
  /** Why it could not be read to its end. */
  failure: string | null;
}

export interface Verification {
  datasets: Verified[];
  rows: number;
  errors: number;
  warnings: number;
  sound: boolean;
}

/** One value on two sides, as text; null where a side has none. */
export interface Difference {
  ts: string;
  id: string | null;
  verdict: string;
  field: string;
  stored: string | null;
  other: string | null;
}

export interface Stretch {
  start_ms: number;
  end_ms: number;
  rows: number;
  why: string;
}

export interface Comparison {
  passed: boolean;
  windows: Stretch[];
  skipped: Stretch[];
  /** What was counted, in the order in which it is told. */
  counts: [string, number][];
  differences: Difference[];
}

export interface Adopted {
  dataset: string;
  place: string;
  rows_read: number;
  rows_stored: number;
  rows_same: number;
  rows_differing: number;
  left_out: [string, number][];
  gap_count: number;
  notes: string[];
}

export interface Adoption {
  folder: string;
  datasets: Adopted[];
  not_taken: { place: string; reason: string }[];
  not_taken_count: number;
}

export interface Moved {
  folder: string;
  copied_bytes: number;
}

export function verification(result: Json): Verification {
  return {
    datasets: records(result["datasets"]).map((it) => ({
      dataset: text(it["dataset"]),
      files: count(it["files"]),
      rows: count(it["rows"]),
      size_bytes: count(it["size_bytes"]),
      errors: count(it["errors"]),
      warnings: count(it["warnings"]),
      problems: records(it["problems"]).map(finding),
      failure: maybeText(it["failure"]),
    })),
    rows: count(result["rows"]),
    errors: count(result["errors"]),
    warnings: count(result["warnings"]),
    sound: result["sound"] === true,
  };
}

/** The datasets with damage that the program can put aside, and has not. */
export function mendable({ datasets }: Verification): string[] {
  return datasets
    .filter((it) => it.problems.some((problem) => problem.mendable && !problem.mended))
    .map((it) => it.dataset);
}

export interface Doctored {
  works: number;
  failures: { name: string; words: string }[];
}

export function doctored(result: Json): Doctored {
  return {
    works: count(result["works"]),
    failures: records(result["findings"])
      .filter((it) => it["works"] !== true)
      .map((it) => ({
        name: ["exchange", "market", "what", "transport"].map((key) => text(it[key])).join(" "),
        words: text(it["words"]),
      })),
  };
}

export function checked(result: Json): Comparison {
  return {
    passed: result["passed"] === true,
    windows: records(result["windows"]).map(stretch),
    skipped: records(result["skipped"]).map(stretch),
    counts: [
      ["Rows", count(result["rows"])],
      ["Equal", count(result["equal"])],
      ["Differ", count(result["differing"])],
      ["Stored only", count(result["stored_only"])],
      ["At the exchange only", count(result["exchange_only"])],
      ["Differed once only", count(result["unconfirmed"])],
    ],
    differences: records(result["differences"]).flatMap((it) => {
      const head = { ts: text(it["ts"]), id: maybeText(it["id"]), verdict: text(it["verdict"]) };
      return Object.entries(record(it["fields"])).map(([field, pair]) => {
        const [stored = null, other = null] = Array.isArray(pair) ? pair : [];
        return { ...head, field, stored: shown(stored), other: shown(other) };
      });
    }),
  };
}

export function audited(result: Json): Comparison {
  const ranges = Array.isArray(result["ranges"]) ? result["ranges"] : [];
  return {
    passed: result["passed"] === true,
    windows: ranges.map((it) => {
      const [start, end] = Array.isArray(it) ? it : [];
      return { start_ms: count(start), end_ms: count(end), rows: 0, why: "" };
    }),
    skipped: [],
    counts: [
      [
        "Bars",
        sum(result, ["equal", "differing", "derived_only", "stored_only", "without_trades"]),
      ],
      ["Equal", count(result["equal"])],
      ["Differ", count(result["differing"])],
      ["Made from trades only", count(result["derived_only"])],
      ["Stored only", count(result["stored_only"])],
      ["Empty on both sides", count(result["without_trades"])],
    ],
    differences: records(result["differences"]).map((it) => ({
      ts: text(it["ts"]),
      id: null,
      verdict: maybeText(it["field"]) !== null ? "differs" : oneSided(it),
      field: maybeText(it["field"]) ?? "volume",
      stored: shown(it["stored"]),
      other: shown(it["derived"]),
    })),
  };
}

export function adoption(result: Json): Adoption {
  const not_taken = records(result["not_taken"]).map((it) => ({
    place: text(it["place"]),
    reason: text(it["reason"]),
  }));
  return {
    folder: text(result["folder"]),
    datasets: records(result["datasets"]).map((it) => ({
      dataset: text(it["dataset"]),
      place: text(it["place"]),
      rows_read: count(it["rows_read"]),
      rows_stored: count(it["rows_stored"]),
      rows_same: count(it["rows_same"]),
      rows_differing: count(it["rows_differing"]),
      left_out: Object.entries(record(it["rows_left_out"])).map(([why, rows]) => [
        why,
        count(rows),
      ]),
      gap_count: count(it["gap_count"]),
      notes: texts(it["notes"]),
    })),
    not_taken,
    not_taken_count: Math.max(not_taken.length, count(result["not_taken_count"])),
  };
}

export function moved(result: Json): Moved {
  return { folder: text(result["folder"]), copied_bytes: count(result["copied_bytes"]) };
}

export interface Verdict {
  text: string;
  tone: "good" | "warn" | "bad" | "soft";
}

/** Runs that succeed by looking, whatever they see. */
const LOOKING: readonly string[] = ["verify", "check", "audit"];

/** A run that came to its end, by what it found; while that is not known, one that only looks is not good. */
export function verdict(operation: string, result: Json | undefined): Verdict {
  if (result === undefined) {
    return { text: "Done", tone: LOOKING.includes(operation) ? "soft" : "good" };
  }
  if (operation === "verify") {
    const found = verification(result);
    if (found.errors > 0) {
      const mended = found.datasets.some((it) => it.problems.some((problem) => problem.mended));
      const tone = mended && mendable(found).length === 0 ? "warn" : "bad";
      return { text: plural(found.errors, "error"), tone };
    }
    if (!found.sound) return { text: "Not all read", tone: "warn" };
    return found.warnings > 0
      ? { text: plural(found.warnings, "warning"), tone: "warn" }
      : { text: "Done", tone: "good" };
  }
  if (operation === "check" || operation === "audit") {
    const { passed, differences } = operation === "check" ? checked(result) : audited(result);
    if (passed) return { text: "Done", tone: "good" };
    return { text: differences.length > 0 ? "Differences" : "Not compared", tone: "warn" };
  }
  if (operation === "backfill" && maybeText(result["why"]) !== null) {
    return { text: "Not all", tone: "warn" };
  }
  return { text: "Done", tone: "good" };
}

/** What a person who started it is told at its end. */
export function outcome(operation: string, result: Json): string | null {
  if (operation === "backfill") {
    const why = maybeText(result["why"]);
    return why === null ? null : `Not all of it was to be had: ${why}`;
  }
  if (operation === "verify") {
    const { sound, errors, datasets } = verification(result);
    if (sound) return "Verified: all is as it was written.";
    const mended = datasets.some((it) => it.problems.some((problem) => problem.mended));
    if (mended) return "Damaged files are put aside; their time is a gap now.";
    return errors > 0
      ? `Verified: ${plural(errors, "error")} found.`
      : "Not all could be read to the end.";
  }
  if (operation !== "check" && operation !== "audit") return null;
  const { passed, differences } = operation === "check" ? checked(result) : audited(result);
  if (passed) return "Compared: there is no difference.";
  return differences.length > 0
    ? "Compared: there are differences."
    : "There was nothing to compare.";
}

function finding(it: Json): Finding {
  return {
    severity: it["severity"] === "warning" ? "warning" : "error",
    file: text(it["file"]),
    text: text(it["text"]),
    advice: text(it["advice"]),
    mendable: it["mendable"] === true,
    mended: it["mended"] === true,
  };
}

function stretch(it: Json): Stretch {
  return {
    start_ms: count(it["start_ms"]),
    end_ms: count(it["end_ms"]),
    rows: count(it["rows"]),
    why: text(it["why"]),
  };
}

function oneSided(it: Json): string {
  return shown(it["stored"]) === null ? "made from trades only" : "stored only";
}

function record(value: JsonValue | undefined): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}

function records(value: JsonValue | undefined): Json[] {
  return Array.isArray(value) ? value.map(record) : [];
}

function texts(value: JsonValue | undefined): string[] {
  return Array.isArray(value) ? value.map(text) : [];
}

function text(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}

function maybeText(value: JsonValue | undefined): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function count(value: JsonValue | undefined): number {
  return typeof value === "number" ? value : 0;
}

function sum(result: Json, names: readonly string[]): number {
  return names.reduce((total, name) => total + count(result[name]), 0);
}

function shown(value: JsonValue | undefined): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "number") return formatExact(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}
