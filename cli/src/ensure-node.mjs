/**
 * Goes on in this process when it is Node 24 or newer. Otherwise runs the same command with the Node 24 that lies in
 * a `node_modules` above (a clone's `npm ci` puts one there) and ends as that ends, or says what is needed.
 * Import it first, or preload it with `--import`.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const NEEDED = 24;

if (!isEnough(process.versions.node)) {
  const node = findNode(dirname(fileURLToPath(import.meta.url)));
  if (node === undefined) {
    process.stderr.write(
      `sluice: Node ${NEEDED} or newer is needed; this is Node ${process.versions.node} (${process.execPath}).\n` +
        `  Install it from https://nodejs.org, or beside sluice: npm install node@${NEEDED}\n` +
        "  In a clone `npm ci` brings it along, unless npm is told to ignore scripts.\n",
    );
    process.exit(1);
  }
  process.exit(await runWith(node));
}

/** @param {string} version as in `24.1.0` */
function isEnough(version) {
  return Number(version.split(".")[0]) >= NEEDED;
}

/** The nearest `node_modules/node` at or above a folder that is new enough. */
function findNode(folder) {
  const packaged = join(folder, "node_modules/node");
  const program = join(packaged, "bin", process.platform === "win32" ? "node.exe" : "node");
  if (existsSync(program) && isEnough(readVersion(packaged))) return program;
  const parent = dirname(folder);
  return parent === folder ? undefined : findNode(parent);
}

function readVersion(packaged) {
  return JSON.parse(readFileSync(join(packaged, "package.json"), "utf8")).version;
}

/** This command by another Node; gives back its exit code, or ends by the signal that ended it. */
function runWith(node) {
  const child = spawn(node, [...process.execArgv, ...process.argv.slice(1)], { stdio: "inherit" });
  // A terminal sends its interrupt to both; anybody else has only this process to send one to.
  process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"));
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      if (signal === null) return resolve(code);
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    });
  });
}
