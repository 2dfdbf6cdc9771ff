import { join } from "node:path";
import type { Hub } from "@sluice/runtime/weights";
import { parseSettings, type Settings, SettingsError } from "@sluice/server";
import { CliError } from "../cli-error.ts";
import { resolveDataDir } from "../data-dir.ts";

/** Where weights are kept and where they come from. */
export interface WeightsSettings {
  readonly dataDir: string;
  readonly weightsDir: string;
  readonly hub: Hub;
  /** The whole table, for what models are told. */
  readonly settings: Settings;
}

/**
 * Reads the settings of the models commands. `HF_TOKEN`, `HF_ENDPOINT` and `HF_HUB_OFFLINE` mean what they mean to every
 * program that speaks to the hub; our own variables go before them.
 */
export function readWeightsSettings(
  options: { readonly data?: string | undefined },
  environment: Readonly<Record<string, string | undefined>> = process.env,
): WeightsSettings {
  const dataDir = resolveDataDir(options);
  let settings: Settings;
  try {
    settings = parseSettings(
      {
        ...environment,
        SLUICE_HUB: environment["SLUICE_HUB"] || environment["HF_ENDPOINT"] || undefined,
        SLUICE_OFFLINE: environment["SLUICE_OFFLINE"] || environment["HF_HUB_OFFLINE"] || undefined,
      },
      { dataDir },
    );
  } catch (error) {
    if (error instanceof SettingsError) throw new CliError(error.message);
    throw error;
  }
  return {
    dataDir,
    weightsDir: getWeightsDir(settings),
    hub: {
      url: settings.hubUrl.replace(/\/+$/, ""),
      token: environment["HF_TOKEN"]?.trim() || undefined,
      isOffline: settings.isOffline,
    },
    settings,
  };
}

/** Folder of pulled models. */
export function getWeightsDir({ weightsDir, dataDir }: Pick<Settings, "weightsDir" | "dataDir">): string {
  return weightsDir ?? join(dataDir, "models");
}
