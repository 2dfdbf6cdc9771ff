import { defineConfig, type UserConfig } from "vite";

const config: UserConfig = defineConfig({
  root: import.meta.dirname,
  base: "/app/",
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2023",
    // The policy of the page allows files only, nothing inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // `npm start` shows what is printed here: how long a plugin took is nothing that its reader can act on.
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  // For work on the app itself: `npx vite` beside a running server.
  server: {
    proxy: Object.fromEntries(
      ["/v1", "/queue", "/run", "/rest", "/cdn", "/api"].map((mount) => [mount, "http://127.0.0.1:7777"]),
    ),
  },
});

export default config;
