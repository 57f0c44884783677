import { expect, test } from "vitest";

import {
  adoption,
  audited,
  checked,
  doctored,
  mendable,
  outcome,
  verdict,
  verification,
} from "./results";

const DAMAGED = {
  datasets: [
    { dataset: "a", files: 1, rows: 2, problems: [], failure: null },
    {
      dataset: "b",
      errors: 2,
      problems: [
        {
          severity: "error",
          file: "x",
          text: "damaged",
          advice: "mend",
          mendable: true,
          mended: false,
        },
        { severity: "warning", file: "y", text: "odd", advice: "", mendable: false, mended: false },
      ],
    },
    {
      dataset: "c",
      errors: 1,
      problems: [
        { severity: "error", file: "z", text: "was", advice: "", mendable: true, mended: true },
      ],
    },
  ],
  errors: 3,
  sound: false,
};

test("only what is damaged and not put aside yet is offered for mending", () => {
  expect(mendable(verification(DAMAGED))).toEqual(["b"]);
});

test("a verification's end is told", () => {
  expect(outcome("verify", { datasets: [], sound: true })).toContain("as it was written");
  const [, found] = DAMAGED.datasets;
  expect(outcome("verify", { datasets: [found ?? {}], errors: 2 })).toContain("2\u00a0errors");
  expect(outcome("verify", DAMAGED)).toContain("put aside");
  expect(outcome("verify", { datasets: [], errors: 0 })).toContain("to the end");
  expect(outcome("backfill", { why: "" })).toBeNull();
  expect(outcome("backfill", { why: "It keeps 30 days." })).toContain("It keeps 30 days.");
});

test("a check's differences are a line for each column", () => {
  const found = checked({
    passed: false,
    rows: 3,
    differing: 1,
    differences: [
      {
        ts: "2024-01-01T00:00:00Z",
        id: null,
        verdict: "differs",
        fields: { close: [1e-8, 2], volume: [null, "3"] },
      },
    ],
  });
  expect(found.counts[0]).toEqual(["Rows", 3]);
  expect(found.differences.map((it) => [it.field, it.stored, it.other])).toEqual([
    ["close", "0.00000001", "2"],
    ["volume", null, "3"],
  ]);
  expect(outcome("check", { passed: true })).toContain("no difference");
  expect(outcome("check", { passed: false })).toContain("nothing to compare");
});

test("an audit says which side has a bar", () => {
  const found = audited({
    equal: 5,
    derived_only: 1,
    stored_only: 1,
    ranges: [[0, 60_000]],
    differences: [
      { ts: "t", field: null, derived: 4, stored: null },
      { ts: "t", field: null, derived: null, stored: 4 },
      { ts: "t", field: "close", derived: 1, stored: 2 },
    ],
  });
  expect(found.counts[0]).toEqual(["Bars", 7]);
  expect(found.differences.map((it) => it.verdict)).toEqual([
    "made from trades only",
    "stored only",
    "differs",
  ]);
  expect(found.windows).toEqual([{ start_ms: 0, end_ms: 60_000, rows: 0, why: "" }]);
});

test("of things left out the true count is kept", () => {
  const found = adoption({
    folder: "/old",
    datasets: [{ dataset: "a", rows_read: 3, rows_left_out: { "a time that cannot be": 2 } }],
    not_taken: [{ place: "x", reason: "unknown" }],
    not_taken_count: 700,
  });
  expect(found.not_taken_count).toBe(700);
  expect(found.datasets[0]?.left_out).toEqual([["a time that cannot be", 2]]);
});

test("what is not there, or is something else, reads as nothing", () => {
  expect(verification({ datasets: "no" }).datasets).toEqual([]);
  expect(checked({ differences: [null, 3] }).differences).toEqual([]);
  expect(adoption({}).datasets).toEqual([]);
});

test("what only looks is not good before it is known what it saw", () => {
  expect(verdict("verify", undefined)).toEqual({ text: "Done", tone: "soft" });
  expect(verdict("backfill", undefined).tone).toBe("good");
  expect(verdict("verify", { sound: true })).toEqual({ text: "Done", tone: "good" });
  expect(verdict("verify", { errors: 2 })).toEqual({ text: "2\u00a0errors", tone: "bad" });
  const problems = [{ mendable: true, mended: true }];
  expect(verdict("verify", { errors: 1, datasets: [{ problems }] }).tone).toBe("warn");
  expect(verdict("verify", {}).tone).toBe("warn");
  expect(verdict("verify", { sound: true, warnings: 1 }).tone).toBe("warn");
  expect(verdict("check", { passed: true }).tone).toBe("good");
  expect(verdict("audit", { differences: [{ ts: "t" }] }).text).toBe("Differences");
  expect(verdict("check", {}).text).toBe("Not compared");
  expect(verdict("backfill", { why: "gone" }).tone).toBe("warn");
});

test("of the exchanges that were tried, what does not work", () => {
  const found = doctored({
    works: 2,
    findings: [
      {
        exchange: "okx",
        market: "spot",
        what: "clock",
        transport: null,
        works: true,
        words: "1 s",
      },
      {
        exchange: "okx",
        market: "spot",
        what: "ohlc",
        transport: "rest",
        works: false,
        words: "No.",
      },
    ],
  });
  expect(found).toEqual({ works: 2, failures: [{ name: "okx spot ohlc rest", words: "No." }] });
  expect(doctored({})).toEqual({ works: 0, failures: [] });
});
