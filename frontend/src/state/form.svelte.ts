/** The Collect form's choice: it outlives a look at another page. */

import { EMPTY_CHOICE, type Choice } from "../lib/collect";

export const form = $state<{ choice: Choice }>({ choice: EMPTY_CHOICE });
