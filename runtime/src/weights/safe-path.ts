import { WeightsError } from "./weights-error.ts";

/**
 * A path that someone else chose, as one below a folder of ours: forward slashes, no way out, no names that a
 * system treats in a special way.
 * @throws WeightsError naming the path
 */
export function checkFilePath(path: string): string {
  const parts = path.split("/");
  const isSafe =
    path.length <= 512 &&
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be in a name
    !/[\\:\u0000-\u001f\u007f]/.test(path) &&
    parts.every((part) => part !== "" && part !== "." && part !== ".." && part.length <= 255);
  if (isSafe) return path;
  throw new WeightsError(
    `The model has a file named ${JSON.stringify(path)}, which leads out of its own folder. Nothing was written.`,
    { next: ["Get the model from a source that you trust."] },
  );
}

/**
 * Files that come into one folder at the same time: none has a name that is another's, or that another has while it is
 * fetched. Names are compared as the least exact system does, without upper case and with letters put together.
 * @throws WeightsError naming both
 */
export function requireOwnPlaces(paths: readonly string[]): void {
  const owners = new Map<string, string>();
  const fold = (path: string): string => path.normalize("NFC").toLowerCase();
  for (const path of paths) {
    const other = owners.get(fold(path));
    if (other !== undefined) throw describeClash(path, other);
    owners.set(fold(path), path);
  }
  for (const path of paths) {
    const other = ["", ".etag"].map((end) => owners.get(fold(`${path}.part${end}`))).find(Boolean);
    if (other !== undefined) throw describeClash(path, other);
  }
}

function describeClash(path: string, other: string): WeightsError {
  const [one, two] = [path, other].map((each) => JSON.stringify(each));
  return new WeightsError(
    `The model has files named ${one} and ${two}, which cannot lie beside each other.`,
    {
      next: ["Get the model from a source that you trust."],
    },
  );
}
