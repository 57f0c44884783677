/** What the causes of gaps mean, and what can be done about each: the codes are the API's. */

import type { BackfillRequest, Dataset, GapItem } from "../api/types";
import { isoInstant } from "./time";

const EXPLANATIONS: Record<string, string> = {
  never_fetched: "It was asked for, and has not been fetched yet. Filling the gap fetches it.",
  collector_down:
    "dccd was not running when this was live. Filling the gap fetches what the exchange still has.",
  disconnected:
    "The connection to the exchange was cut. Filling the gap fetches what the exchange still has.",
  exchange_down: "The exchange did not answer at that time. It may have the data by now.",
  disk_full: "There was no room to write it. Free some space, then fill the gap.",
  put_aside:
    "The file that held it was damaged. It is kept in the folder .dccd/quarantine, and filling the gap fetches the data anew.",
  file_gone:
    "The file that held it has been removed or lost. Put it back from a copy, or fill the gap to fetch the data anew.",
  unreadable:
    "The file is there, and the system does not let it be read now. Check its permissions and the disk; filling the gap does not help before.",
  implausible:
    "The exchange sent rows with times that cannot be. They are kept in .dccd/quarantine; filling the gap asks again.",
  maybe_open:
    "The bar may not have been final when it was stored. Filling the gap fetches it anew.",
  differs:
    "A check found that the exchange has other values by now. Filling the gap puts the exchange's in their place.",
  outdated:
    "The trades that these bars were made from have changed. Filling the gap makes them anew.",
};

/** One or two sentences; for a code of another version of dccd, that its own words are all there is. */
export function explainGap(code: string): string {
  return EXPLANATIONS[code] ?? "An earlier dccd noted this. Filling the gap asks the exchange.";
}

/** What fetches one gap and nothing else. */
export function gapRequest(dataset: Dataset, gap: GapItem): BackfillRequest {
  return {
    exchange: dataset.exchange,
    symbol: dataset.symbol,
    data_type: dataset.data_type,
    span: dataset.span,
    depth: dataset.depth,
    start: isoInstant(gap.start_ms),
    end: isoInstant(gap.end_ms),
    ...(gap.code === "outdated" ? { derive_from: "trades" as const } : {}),
  };
}
