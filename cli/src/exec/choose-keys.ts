import { CliError } from "../cli-error.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Credentials for the command, and what to tell the person at the terminal. */
export interface ChosenKeys {
  /** Variables to set over the environment's own. */
  readonly variables: Readonly<Record<string, string>>;
  readonly notes: readonly string[];
}

/**
 * Keeps the keys that the server knows and puts the first key in place of the others: a key of the hosted service is no
 * use here. Where clients look: `FAL_KEY`, `FAL_KEY_ID` with `FAL_KEY_SECRET`, and `FAL_API_KEY`.
 *
 * @param firstKey key of the first start; undefined when this machine does not have it
 * @throws CliError when a key is unknown and there is none to take its place
 */
export async function chooseKeys(parts: {
  readonly environment: Environment;
  readonly serverUrl: string;
  readonly firstKey: string | undefined;
  readonly isKnown: (key: string) => Promise<boolean>;
}): Promise<ChosenKeys> {
  const { environment, serverUrl, firstKey, isKnown } = parts;
  const variables: Record<string, string> = {};
  const notes: string[] = [];
  const given = findKeys(environment);
  for (const { name, key, set } of given) {
    if (await isKnown(key)) continue;
    const other = await checkFirst(name);
    Object.assign(variables, set(other));
    notes.push(`${name} is not a key of ${serverUrl}: the command gets the key of the first start instead`);
  }
  if (given.length === 0) {
    if (firstKey !== undefined && (await isKnown(firstKey))) variables["FAL_KEY"] = firstKey;
    else notes.push(`no key was found for ${serverUrl}: the command gets none (set FAL_KEY=id:secret)`);
  }
  return { variables, notes };

  async function checkFirst(name: string): Promise<string> {
    if (firstKey !== undefined && (await isKnown(firstKey))) return firstKey;
    throw new CliError(`The server at ${serverUrl} does not know the key in ${name}.`, {
      next: [
        "Set FAL_KEY=id:secret to a key of this server (`sluice keys create` makes one on the machine that serves),",
        "or name the server's data folder with --data DIR, to use the key of its first start.",
      ],
    });
  }
}

interface GivenKey {
  readonly name: string;
  readonly key: string;
  readonly set: (key: string) => Record<string, string>;
}

function findKeys(environment: Environment): readonly GivenKey[] {
  const found: GivenKey[] = [];
  for (const name of ["FAL_KEY", "FAL_API_KEY"]) {
    const key = environment[name];
    if (key) found.push({ name, key, set: (value) => ({ [name]: value }) });
  }
  const [id, secret] = [environment["FAL_KEY_ID"], environment["FAL_KEY_SECRET"]];
  if (id && secret) {
    const set = (value: string): Record<string, string> => {
      const [first = "", second = ""] = value.split(":");
      return { FAL_KEY_ID: first, FAL_KEY_SECRET: second };
    };
    found.push({ name: "FAL_KEY_ID", key: `${id}:${secret}`, set });
  }
  return found;
}
