import { expect, test } from "vitest";

import { depthCurves } from "./depth";

test("both sides reach equally far, and the larger sum is the top", () => {
  const curves = depthCurves(
    {
      ts_ms: 0,
      bids: [
        [99, 1],
        [98, 2],
        [90, 50],
      ],
      asks: [
        [101, 4],
        [102, 1],
      ],
    },
    100,
    100,
  );
  expect(curves?.bestBid).toBe(99);
  expect(curves?.ticks.map((tick) => tick.price)).toEqual([98, 99, 100, 101, 102]);
  // The bid far below is out of the picture, and so out of the sum.
  expect(curves?.top).toBe(5);
  expect(curves?.bids).toBe("M25,100H25V81H0V43H0V100Z");
});

test("a book without one side has no curve", () => {
  expect(depthCurves({ ts_ms: 0, bids: [], asks: [[1, 1]] }, 100, 100)).toBeNull();
});
