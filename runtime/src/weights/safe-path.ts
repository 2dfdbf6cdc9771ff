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
