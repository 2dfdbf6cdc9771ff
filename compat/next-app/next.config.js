import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

export default {
  distDir: "build",
  transpilePackages: ["@sluice/proxy"],
  outputFileTracingRoot: root,
  turbopack: { root },
};
