import { expect, test } from "vitest";

import type { Run } from "../api/types";
import { isUnfinishedMove } from "./move";

const COPIED = {
  state: "succeeded",
  ended_ms: 2_000,
  params: { folder: "/new" },
} as unknown as Run;

test("a copy that is made is not yet a change", () => {
  expect(isUnfinishedMove(COPIED, "/old", 1_000)).toBe(true);
  expect(isUnfinishedMove(COPIED, "/new", 1_000)).toBe(false);
  expect(isUnfinishedMove({ ...COPIED, state: "cancelled" }, "/old", 1_000)).toBe(false);
  // The program has been started since, and knows of no move any more.
  expect(isUnfinishedMove(COPIED, "/old", 3_000)).toBe(false);
});
