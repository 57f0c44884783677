/** Which page is shown, and of what: kept in the address's fragment, so that Back works. */

export const PAGES = ["collect", "library", "runs", "settings"] as const;
export type Page = (typeof PAGES)[number];

export const PAGE_NAMES: Record<Page, string> = {
  collect: "Collect",
  library: "Library",
  runs: "Runs",
  settings: "Settings",
};

class Route {
  page = $state<Page>("collect");
  /** The dataset (Library) or run (Runs) whose panel is open. */
  item = $state<string | null>(null);

  constructor() {
    this.#read();
    window.addEventListener("hashchange", () => this.#read());
  }

  go(page: Page, item: string | null = null): void {
    if (page === this.page && item === this.item) return;
    window.location.hash = item === null ? `/${page}` : `/${page}/${encodeURIComponent(item)}`;
    this.page = page;
    this.item = item;
  }

  #read(): void {
    const [, page = "", item] = /^#\/(\w+)(?:\/(.+))?$/.exec(window.location.hash) ?? [];
    this.page = PAGES.find((name) => name === page) ?? "collect";
    this.item = item === undefined ? null : decode(item);
  }
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

export const route = new Route();
