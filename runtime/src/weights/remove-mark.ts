/** A text that someone edited, without the byte order mark that editors of Windows begin it with. */
export function removeMark(text: string): string {
  return text.replace(/^\ufeff/, "");
}
