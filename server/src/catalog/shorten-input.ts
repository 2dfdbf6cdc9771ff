const MAX_TEXT = 256;
const MAX_MEMBERS = 20;
const MAX_DEPTH = 4;

/**
 * What an error item repeats of the caller's input: long texts, lists and objects are cut, so that an error is small
 * whatever was sent. Numbers that JSON cannot hold become words.
 */
export function shortenInput(value: unknown, depth = 0): unknown {
  if (typeof value === "string") return shortenText(value);
  if (typeof value === "number") return Number.isFinite(value) ? value : describeNumber(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth >= MAX_DEPTH) return "…";
  if (Array.isArray(value)) {
    const items = value.slice(0, MAX_MEMBERS).map((item) => shortenInput(item, depth + 1));
    const left = value.length - items.length;
    return left === 0 ? items : [...items, `… ${left} more`];
  }
  const names = Object.keys(value);
  const members = names
    .slice(0, MAX_MEMBERS)
    .map((name) => [shortenText(name), shortenInput((value as Record<string, unknown>)[name], depth + 1)]);
  const left = names.length - members.length;
  if (left > 0) members.push(["…", `${left} more`]);
  return Object.fromEntries(members);
}

function shortenText(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}… (${text.length} characters)`;
}

function describeNumber(value: number): string {
  if (Number.isNaN(value)) return "nan";
  return value > 0 ? "inf" : "-inf";
}
