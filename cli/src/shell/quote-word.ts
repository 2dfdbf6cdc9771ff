/** A word as a shell reads it; of `key=value` the value alone is quoted. */
export function quoteWord(word: string): string {
  const [, key = "", value = ""] = /^(\w+=)?(.*)$/s.exec(word) ?? [];
  if (/^[\w@%+=:,./-]+$/.test(value)) return word;
  const quoted = /["$`\\!]/.test(value) ? `'${value.replaceAll("'", "'\\''")}'` : `"${value}"`;
  return `${key}${quoted}`;
}
