/**
 * Whether a text fits one of the patterns: `*` stands for anything without a slash, `**` for anything, and a
 * `/**` at the end also for nothing at all. A backslash takes a character as it is; all others mean themselves.
 * Not by regular expressions: what a page sends must not be able to make the match slow.
 */
export function matchesAny(text: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => matches(text, pattern));
}

type Token = { readonly star: "*" | "**" } | { readonly character: string };

function matches(text: string, pattern: string): boolean {
  if (pattern.endsWith("/**") && matches(text, pattern.slice(0, -3))) return true;
  // ends[i]: the tokens so far can stand for the first i characters of the text.
  let ends = Array.from({ length: text.length + 1 }, (_, index) => index === 0);
  for (const token of tokenize(pattern)) {
    const next = ends.map((isEnd) => "star" in token && isEnd);
    for (let at = 0; at < text.length; at++) {
      if ("character" in token) next[at + 1] = ends[at] === true && text[at] === token.character;
      else if (next[at] && (token.star === "**" || text[at] !== "/")) next[at + 1] = true;
    }
    ends = next;
  }
  return ends[text.length] === true;
}

function tokenize(pattern: string): Token[] {
  return (pattern.match(/\\[\s\S]|\*\*|[\s\S]/g) ?? []).map((part) =>
    part === "*" || part === "**" ? { star: part } : { character: part.slice(-1) },
  );
}
