import { parseArgs } from "node:util";

/**
 * What a program is told with `--name N`, and these numbers where it is not.
 * @throws Error that names the option that is unknown or no number
 */
export function readNumbers<Name extends string>(
  defaults: Readonly<Record<Name, number>>,
): Record<Name, number> {
  const names = Object.keys(defaults) as Name[];
  const options = Object.fromEntries(names.map((name) => [name, { type: "string" as const }]));
  const { values } = parseArgs({ options });
  const numbers: Record<Name, number> = { ...defaults };
  for (const name of names) {
    const text = values[name];
    if (text === undefined) continue;
    if (!/^\d+(\.\d+)?$/.test(String(text))) throw new Error(`--${name} must be a number, not "${text}".`);
    numbers[name] = Number(text);
  }
  return numbers;
}
