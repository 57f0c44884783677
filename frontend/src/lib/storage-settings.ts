/** The room that is kept free and the days that the trash is kept, as fields of a form. */

import type { JsonValue, Settings } from "../api/types";

export function floorOf(settings: Settings): string {
  return figure(settings, "free_space_floor_gb");
}

export function trashDaysOf(settings: Settings): string {
  return figure(settings, "trash_days");
}

/** What is wrong with either, in words. */
export function storageErrors(floor: string, days: string): { floor?: string; days?: string } {
  return {
    ...(/^\d{1,9}(\.\d{1,9})?$/.test(floor.trim()) ? {} : { floor: "A number such as 1 or 2.5." }),
    ...(/^[1-9]\d{0,4}$/.test(days.trim()) ? {} : { days: "A whole number from 1 on." }),
  };
}

function figure({ sections }: Settings, name: string): string {
  const settings: JsonValue | undefined = sections["settings"];
  if (typeof settings !== "object" || settings === null || Array.isArray(settings)) return "";
  const value = settings[name];
  return typeof value === "number" ? String(value) : "";
}
