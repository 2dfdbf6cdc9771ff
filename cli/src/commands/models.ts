import type { WeightsError } from "@sluice/runtime/weights";
import type { Command } from "commander";
import { CliError } from "../cli-error.ts";
import { addDataOption } from "../data-dir.ts";
import type { AddOptions } from "../models/bind.ts";
import { readWeightsSettings } from "../models/weights-settings.ts";
import { formatCommand } from "../shell/format-command.ts";

interface DataOptions {
  readonly data?: string;
}

interface PullOptions extends DataOptions {
  readonly name?: string;
  readonly family?: string;
  readonly acceptLicense?: boolean;
  readonly force?: boolean;
}

const WHAT =
  "a name from the list, hf:OWNER/NAME[@REVISION][/FILE], an https address, or a folder or file here";

/** `sluice models list|pull|add|remove`: open weights on this machine, and the endpoints that they answer. */
export function addModelsCommands(program: Command): void {
  const models = program
    .command("models")
    .description("open models on this machine: list, pull, add to endpoints, remove")
    .addHelpText(
      "after",
      `
Environment:
  SLUICE_WEIGHTS   folder of pulled models (default models/ in the data folder)
  SLUICE_HUB       hub or mirror (else HF_ENDPOINT, https://huggingface.co)
  SLUICE_OFFLINE   fetch nothing (else HF_HUB_OFFLINE)
  HF_TOKEN         goes to the hub's own host only

Examples:
  sluice models list
  sluice models add flux-2-klein-4b
  sluice models add ./FLUX.1-schnell-onnx --endpoint fal-ai/flux/schnell
  sluice models remove flux-2-klein-4b`,
    );
  models.exitOverride();

  addDataOption(models.command("list"))
    .description("what is installed and answers what, what can be pulled, what fits this machine")
    .option("--all", "show what does not run here, too, and why")
    .option("--json", "print a JSON object")
    .addHelpText("after", "\nExample:\n  sluice models list --all")
    .action(async (options: DataOptions & { json?: boolean; all?: boolean }) => {
      await explain(async () => {
        const { listModels } = await import("../models/list-models.ts");
        await listModels(readWeightsSettings(options), options);
      });
    });

  addDataOption(models.command("pull"))
    .description("fetch a model, or go on where an interrupted pull stopped")
    .argument("<model>", WHAT)
    .option("--name <name>", "what to call it here")
    .option("--family <family>", "what a single file is, when its tensors do not tell")
    .option("--accept-license", "accept a licence that is not open, for instance a non-commercial one")
    .option("--force", "fetch it again although it is here, or in the place of another model")
    .addHelpText(
      "after",
      `
Examples:
  sluice models pull z-image-turbo
  sluice models pull hf:hlhc/FLUX.2-klein-4B-onnx --name klein
  sluice models pull hf:leejet/FLUX.1-schnell-gguf/flux1-schnell-q8_0.gguf
  SLUICE_HUB=https://mirror.example.org sluice models pull z-image-turbo
  sluice models pull ./usb-stick/FLUX.1-schnell-onnx`,
    )
    .action(async (asked: string, options: PullOptions) => {
      await explain(async () => {
        const settings = readWeightsSettings(options);
        const { parseModelSource, suggestName } = await import("@sluice/runtime/weights");
        const { pullWithProgress } = await import("../models/pull.ts");
        const source = parseModelSource(asked, settings.hub);
        const { model } = await pullWithProgress(
          {
            asked,
            source,
            name: options.name ?? suggestName(source),
            isLicenseAccepted: options.acceptLicense === true,
            isForced: options.force === true,
            family: options.family,
          },
          settings,
        );
        const words = ["models", "add", model.name, "--endpoint", "fal-ai/flux-pro"];
        process.stdout.write(`Have it answer an endpoint: ${formatCommand(words, settings)}\n`);
      });
    });

  addDataOption(models.command("add"))
    .description("have a model answer endpoints; it is pulled first if it is not here")
    .argument("<model>", WHAT)
    .option("-e, --endpoint <id...>", "endpoints (default: the catalog's, else fal-ai/flux-pro)")
    .option("--name <name>", "what to call it here, and in x-model")
    .option("--provider <provider>", "what computes ONNX graphs: auto, cpu, cuda, dml, webgpu, coreml")
    .option(
      "--file <part=path...>",
      "further files of a single-file model: vae=, llm=, clip_l=, clip_g=, t5xxl=",
    )
    .option("--family <family>", "what a single file is, when its tensors do not tell")
    .option("--license <license>", "licence of files of this machine, as an SPDX expression")
    .option("--accept-license", "accept a licence that is not open, for instance a non-commercial one")
    .addHelpText(
      "after",
      `
Examples:
  sluice models add flux-2-klein-4b
  sluice models add flux-2-klein-4b -e fal-ai/flux-pro acme/edit/image-to-image
  sluice models add flux-1-dev --accept-license
  sluice models add ./my-export --name mine --endpoint acme/draw --provider cuda
  sluice models add ./z_image.gguf --file vae=ae.safetensors llm=qwen3-4b.gguf`,
    )
    .action(async (asked: string, options: AddOptions & DataOptions) => {
      await explain(async () => {
        const { addModel } = await import("../models/bind.ts");
        await addModel(asked, options, readWeightsSettings(options));
      });
    });

  addDataOption(models.command("remove"))
    .description("have a model answer no more; its files are kept")
    .argument("<name>", "as `sluice models list` shows it")
    .option("-e, --endpoint <id...>", "only these endpoints")
    .option("--delete", "delete the files of a pulled model, too")
    .addHelpText(
      "after",
      `
Examples:
  sluice models remove flux-2-klein-4b
  sluice models remove flux-2-klein-4b --endpoint fal-ai/flux/dev
  sluice models remove flux-2-klein-4b --delete`,
    )
    .action(async (name: string, options: DataOptions & { endpoint?: string[]; delete?: boolean }) => {
      await explain(async () => {
        const { removeModel } = await import("../models/bind.ts");
        await removeModel(name, options, readWeightsSettings(options));
      });
    });

  for (const command of models.commands) command.exitOverride();
}

/** What the runtime says about weights, as the command line says it. Its code is loaded by these commands alone. */
async function explain(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (isWeightsError(error)) throw new CliError(error.message, { next: error.next, cause: error });
    throw error;
  }
}

function isWeightsError(error: unknown): error is WeightsError {
  return error instanceof Error && error.name === "WeightsError";
}
