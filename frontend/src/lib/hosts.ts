/** Addresses of exchanges that replace the built-in ones, as they stand in the configuration. */

import type { JsonValue, Settings } from "../api/types";

export interface Host {
  exchange: string;
  name: string;
  address: string;
}

/** Names in use by the exchanges; another may be written, the server says whether it makes sense. */
export const HOST_NAMES = ["rest_url", "futures_url", "delivery_url"] as const;

export function hostsOf(settings: Settings): Host[] {
  const found: Host[] = [];
  for (const [exchange, source] of Object.entries(record(settings.sections["sources"]))) {
    for (const [name, address] of Object.entries(record(source))) {
      if (name.endsWith("_url") && typeof address === "string")
        found.push({ exchange, name, address });
    }
  }
  return found;
}

/** What is wrong with an address, in words; null when nothing is. */
export function addressError(address: string): string | null {
  return /^https?:\/\/[^/\s]+\S*$/.test(address)
    ? null
    : "Write a whole address, such as https://api.example.com.";
}

function record(value: JsonValue | undefined): Record<string, JsonValue> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}
