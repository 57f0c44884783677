/** The Collect form's choice: it outlives a look at another page, and that the page is loaded again. */

import { EMPTY_CHOICE, type Choice } from "../lib/collect";

const KEY = "dccd-collect";

export const form = $state<{ choice: Choice }>({ choice: kept() });

export function keepForm(): void {
  sessionStorage.setItem(KEY, JSON.stringify(form.choice));
}

function kept(): Choice {
  const text = sessionStorage.getItem(KEY);
  return text === null ? EMPTY_CHOICE : { ...EMPTY_CHOICE, ...(JSON.parse(text) as Choice) };
}
