import { isLoopbackHost } from "./loopback-host.ts";
import { SETTINGS, type Settings } from "./settings.ts";

/** What an operator may not have meant, in sentences that say what to do. The server starts all the same. */
export function listSettingsWarnings(
  settings: Pick<Settings, "host" | "tlsCert" | "trustedProxies">,
  environment: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const warnings: string[] = [];
  if (!isLoopbackHost(settings.host) && settings.tlsCert === null && settings.trustedProxies.length === 0)
    warnings.push(
      `Keys, prompts and pictures cross the network in the clear: the server listens on ${settings.host} without TLS. Give it a certificate (SLUICE_TLS_CERT, SLUICE_TLS_KEY), or name the proxy that has one (SLUICE_TRUSTED_PROXIES).`,
    );
  for (const name of Object.keys(environment).sort()) {
    if (!name.startsWith("SLUICE_") || name.startsWith("SLUICE_MODEL_") || KNOWN.has(name)) continue;
    warnings.push(`${name} is no setting and means nothing; \`sluice serve --help\` lists those there are.`);
  }
  return warnings;
}

/** Settings, and what the command line reads besides. */
const KNOWN: ReadonlySet<string> = new Set([
  ...SETTINGS.map(({ variable }) => variable),
  "SLUICE_URL",
  "SLUICE_DEBUG",
]);
