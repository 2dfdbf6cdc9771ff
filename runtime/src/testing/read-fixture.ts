import { readFileSync } from "node:fs";

/** A recorded JSON file from the folder `fixtures` beside this one. */
export function readFixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`./fixtures/${name}`, import.meta.url), "utf8")) as T;
}
