/** Theme and zone: kept in the configuration, because this page's address changes at each start. */

import { api } from "../api/client";
import type { Settings } from "../api/types";
import type { Zone } from "../lib/time";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

class Preferences {
  zone = $state<Zone>("utc");
  theme = $state<Theme>("system");
  /** The file all of this stands in. */
  configPath = $state<string | null>(null);
  #dark = $state(false);
  /** Changes whenever colours do: charts draw anew. */
  readonly scheme = $derived<"light" | "dark">(
    this.theme === "system" ? (this.#dark ? "dark" : "light") : this.theme,
  );

  constructor() {
    const query = window.matchMedia("(prefers-color-scheme: dark)");
    this.#dark = query.matches;
    query.addEventListener("change", () => (this.#dark = query.matches));
  }

  async load(): Promise<void> {
    this.read(await api.settings());
  }

  read({ path, sections }: Settings): void {
    this.configPath = path;
    const settings = sections["settings"];
    if (typeof settings !== "object" || settings === null || Array.isArray(settings)) return;
    const theme = THEMES.find((it) => it === settings["theme"]);
    if (theme !== undefined) this.#apply(theme);
    this.zone = settings["timezone"] === "local" ? "local" : "utc";
  }

  async setTheme(theme: Theme): Promise<void> {
    this.#apply(theme);
    await api.saveSettings({ sections: { settings: { theme } } });
  }

  async setZone(zone: Zone): Promise<void> {
    this.zone = zone;
    await api.saveSettings({
      sections: { settings: { timezone: zone === "utc" ? "UTC" : "local" } },
    });
  }

  #apply(theme: Theme): void {
    this.theme = theme;
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
  }
}

export const preferences = new Preferences();
