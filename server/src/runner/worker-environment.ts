/**
 * The environment of worker processes: the server's own, without what model code must not see (the server's
 * settings and credentials) and without what would change how the child runs.
 */
export function createWorkerEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined && !WITHHELD.test(name)) kept[name] = value;
  }
  return kept;
}

const WITHHELD = /^(SLUICE_|FAL_|AWS_|PG|NODE_CHANNEL_|NODE_UNIQUE_ID$|NODE_TEST_CONTEXT$)/;
