import { expect, test } from "vitest";

import { floorOf, storageErrors, trashDaysOf } from "./storage-settings";

test("the settings' figures are what the fields show", () => {
  const settings = {
    path: "",
    sections: { settings: { free_space_floor_gb: 2.5, trash_days: 7 } },
  };
  expect([floorOf(settings), trashDaysOf(settings)]).toEqual(["2.5", "7"]);
  expect(floorOf({ path: "", sections: {} })).toBe("");
});

test.each(["", "-1", "1e3", "a", "1,5"])("%s is no size to keep free", (text) => {
  expect(storageErrors(text, "7").floor).toBeDefined();
});

test.each(["", "0", "1.5", "a week"])("%s is no number of days", (text) => {
  expect(storageErrors("1", text).days).toBeDefined();
});

test("what can be saved is no error", () => {
  expect(storageErrors("0", "1")).toEqual({});
  expect(storageErrors("2.5", "365")).toEqual({});
});
