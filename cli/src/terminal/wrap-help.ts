/**
 * Help that fits into a terminal: lines that are longer are broken between words and go on below what they explain,
 * the second column of `  NAME   what it means`. Lines under `Examples:` stay whole, to be pasted.
 */
export function wrapHelp(text: string, columns: number): string {
  let isExample = false;
  return text
    .split("\n")
    .map((line) => {
      if (/^\S/.test(line)) isExample = /^Examples?:/.test(line);
      return isExample ? line : wrapLine(line, columns);
    })
    .join("\n");
}

/** So much of a line's width is kept for what is explained; where less is left it goes below the name. */
const LEAST_COLUMNS = 24;

function wrapLine(line: string, columns: number): string {
  if (line.length <= columns) return line;
  const [, margin = "", name = "", rest = ""] = /^( *)(\S+ {2,})?(.*)$/.exec(line) ?? [];
  const column = margin.length + name.length;
  if (columns - column >= LEAST_COLUMNS) return breakWords(margin + name, rest, column, columns);
  const below = name === "" ? margin : `${margin}    `;
  const named = name === "" ? "" : `${margin}${name.trimEnd()}\n`;
  return named + breakWords(below, rest, below.length, columns);
}

function breakWords(first: string, text: string, indent: number, columns: number): string {
  const lines: string[] = [];
  let line = first;
  let isEmpty = true;
  for (const word of text.split(" ")) {
    if (!isEmpty && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = " ".repeat(indent);
      isEmpty = true;
    }
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, line].join("\n");
}
