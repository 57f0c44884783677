import { svelte } from "@sveltejs/vite-plugin-svelte";
import { svelteTesting } from "@testing-library/svelte/vite";
import { defineConfig } from "vitest/config";

export default defineConfig({
  // The port, and so the origin, changes at each start: every address in the page is relative.
  base: "./",
  plugins: [svelte(), svelteTesting()],
  build: {
    outDir: "../app/dccd/interfaces/api/static",
    emptyOutDir: true,
    // The page is served under `default-src 'none'; script-src 'self'; style-src 'self'`: nothing may
    // be inlined, neither small assets as data: addresses nor Vite's preload helper as a script.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.ts"],
    // Svelte's own warnings (and ours) are faults, as they are on the Python side.
    onConsoleLog: (log) => {
      throw new Error(`A test wrote to the console: ${log}`);
    },
    restoreMocks: true,
  },
});
