import { extname, resolve } from "node:path";
import { formatEndpointId, parseEndpointId } from "@sluice/protocol";
import {
  type BindingsChange,
  changeModelBindings,
  checkModelName,
  classifyLicense,
  deleteModelFiles,
  FILE_ROLES,
  type FileRole,
  findInstalledModel,
  inspectModel,
  type ModelBinding,
  type ModelDescription,
  parseModelSource,
  readModelCatalog,
  requireAcceptance,
  suggestName,
} from "@sluice/runtime/weights";
import { type InstalledModel, sendControlCommand } from "@sluice/server";
import { CliError } from "../cli-error.ts";
import { formatCommand, nameProgram } from "../shell/format-command.ts";
import { isProgram } from "./machine.ts";
import { pullWithProgress } from "./pull.ts";
import { undoChange } from "./undo-change.ts";
import type { WeightsSettings } from "./weights-settings.ts";

export interface AddOptions {
  readonly endpoint?: readonly string[];
  readonly name?: string;
  readonly provider?: string;
  readonly file?: readonly string[];
  readonly family?: string;
  readonly license?: string;
  readonly acceptLicense?: boolean;
}

const DEFAULT_ENDPOINT = "fal-ai/flux-pro";
const PROVIDERS = ["auto", "cpu", "cuda", "dml", "webgpu", "coreml"];
const IMAGE_TO_IMAGE = "/image-to-image";

/** `sluice models add`: pulls the model if it is not here, and binds it to endpoints. */
export async function addModel(asked: string, options: AddOptions, settings: WeightsSettings): Promise<void> {
  const endpoints = options.endpoint?.map(readEndpoint);
  const provider = readProvider(options.provider);
  const { binding, description } = await findModel(asked, options, settings);
  const wanted = endpoints ?? getDefaultEndpoints(asked, binding.name);
  const picture = wanted.find((id) => id.endsWith(IMAGE_TO_IMAGE));
  if (picture !== undefined && !description.hasImageInput)
    throw new CliError(`${binding.name} cannot answer ${picture}: it cannot start from a picture.`, {
      next: ["Its folder has no vae_encoder. Export it with one, or leave the endpoint out."],
    });
  const added = { ...binding, ...(provider === undefined ? {} : { provider }) };
  let moved: readonly string[] = [];
  const change = await changeModelBindings(settings.dataDir, (bindings) => {
    moved = listMoved(bindings, binding.name, wanted);
    return bind(bindings, added, wanted);
  });
  const models = await reload(settings, change, binding.name);
  for (const line of moved) process.stdout.write(`${line}\n`);
  const program = settings.settings.modelSettings["sd_server"] ?? "sd-server";
  if (description.engine === "sd-server" && !(await isProgram(program)))
    process.stderr.write(
      `${program} is not here yet: put stable-diffusion.cpp's sd-server on the PATH of the\nserver, or its path into SLUICE_MODEL_SD_SERVER. Requests fail until then.\n`,
    );
  const when = models === undefined ? "from the next start of the server on" : "now";
  const words = ["run", wanted[0] ?? DEFAULT_ENDPOINT, "prompt=a red apple on a white table"];
  process.stdout.write(
    `${binding.name} answers ${wanted.join(", ")} ${when}.\n  try  ${formatCommand(words, settings)}\n`,
  );
}

/** `sluice models remove`: takes endpoints away from a model; all of them where none is named. */
export async function removeModel(
  name: string,
  options: { readonly endpoint?: readonly string[]; readonly delete?: boolean },
  settings: WeightsSettings,
): Promise<void> {
  const endpoints = options.endpoint?.map(readEndpoint);
  let taken: readonly string[] = [];
  let isBound = false;
  const change = await changeModelBindings(settings.dataDir, (bindings) => {
    const old = bindings.find((each) => each.name === name);
    isBound = old !== undefined;
    if (old === undefined) return bindings;
    const wrong = endpoints?.find((id) => !old.endpoints.includes(id));
    if (wrong !== undefined)
      throw new CliError(`${name} does not answer ${wrong}.`, {
        next: [`It answers ${old.endpoints.join(", ") || "nothing"}.`],
      });
    taken = endpoints ?? old.endpoints;
    const left = old.endpoints.filter((id) => !taken.includes(id));
    const others = bindings.filter((each) => each !== old);
    return left.length === 0
      ? others
      : bindings.map((each) => (each === old ? { ...old, endpoints: left } : each));
  });
  if (isBound) await reload(settings, change, undefined);
  const isDeleted = options.delete === true && (await deleteModelFiles(settings.weightsDir, name));
  if (!isBound && !isDeleted) {
    const isHere = (await findInstalledModel(settings.weightsDir, name)) !== undefined;
    throw new CliError(isHere ? `${name} answers no endpoint.` : `No model here is named "${name}".`, {
      next: [isHere ? "--delete deletes its files." : "`sluice models list` shows the names."],
    });
  }
  if (taken.length > 0) process.stdout.write(`${name} does not answer ${taken.join(", ")} any more.\n`);
  if (isDeleted) process.stdout.write(`The files of ${name} are deleted.\n`);
  else if (isBound && (await findInstalledModel(settings.weightsDir, name)) !== undefined)
    process.stdout.write(
      nameProgram(`Its files are kept: \`sluice models remove ${name} --delete\` deletes them.\n`),
    );
}

interface FoundModel {
  readonly binding: Omit<ModelBinding, "endpoints">;
  readonly description: ModelDescription;
}

async function findModel(asked: string, options: AddOptions, settings: WeightsSettings): Promise<FoundModel> {
  const files = readFiles(options.file ?? []);
  const isLicenseAccepted = options.acceptLicense === true;
  const here = await findInstalledModel(settings.weightsDir, asked);
  if (here !== undefined) {
    refuseForPulled(options);
    return { binding: { name: asked }, description: here };
  }
  const source = parseModelSource(asked, settings.hub);
  const name = options.name ?? suggestName(source);
  if (source.kind !== "local") {
    const { family, ...others } = options;
    refuseForPulled(others);
    const request = { asked, source, name, isLicenseAccepted, isForced: false, family };
    const { model } = await pullWithProgress(request, settings);
    return { binding: { name: model.name }, description: model };
  }
  const { family } = options;
  checkModelName(name);
  const { folder, description } = await inspectModel(source.path, { family, roles: files });
  const license = options.license ?? description.license;
  const terms = classifyLicense(license);
  requireAcceptance(name, { license, terms }, { isLicenseAccepted });
  return {
    binding: {
      name,
      path: description.engine === "onnx" ? folder : source.path,
      ...(Object.keys(files).length === 0 ? {} : { files }),
      ...(family === undefined ? {} : { family }),
      ...(license === null ? {} : { license }),
      ...(terms === null ? {} : { terms }),
    },
    description,
  };
}

function refuseForPulled({ file, family, license }: AddOptions): void {
  const given = [
    file === undefined ? [] : "--file",
    family === undefined ? [] : "--family",
    license === undefined ? [] : "--license",
  ].flat();
  if (given.length === 0) return;
  throw new CliError(`${given.join(", ")} ${given.length === 1 ? "is" : "are"} for files of this machine.`, {
    next: ["A pulled model knows it already; edit models.json in the data folder to state something else."],
  });
}

function getDefaultEndpoints(asked: string, name: string): readonly string[] {
  const model = readModelCatalog().get(asked) ?? readModelCatalog().get(name);
  return model?.endpoints ?? [DEFAULT_ENDPOINT];
}

function readEndpoint(text: string): string {
  const id = parseEndpointId(text);
  if (id !== undefined && formatEndpointId(id) === text) return text;
  throw new CliError(`"${text}" is not an endpoint id.`, {
    next: ["Write owner/name or owner/name/path: --endpoint fal-ai/flux-pro"],
  });
}

function readProvider(text: string | undefined): string | undefined {
  if (text === undefined || PROVIDERS.includes(text)) return text;
  throw new CliError(
    `--provider must be ${PROVIDERS.slice(0, -1).join(", ")} or ${PROVIDERS.at(-1)}, not "${text}".`,
  );
}

function readFiles(texts: readonly string[]): Partial<Record<FileRole, string>> {
  const files: Partial<Record<FileRole, string>> = {};
  for (const text of texts) {
    const at = text.indexOf("=");
    const role = text.slice(0, Math.max(0, at)) as FileRole;
    const path = text.slice(at + 1);
    if (at < 1 || path === "")
      throw new CliError(`--file "${text}" is not PART=PATH.`, {
        next: ["For example --file vae=ae.safetensors"],
      });
    if (!FILE_ROLES.includes(role))
      throw new CliError(`--file ${text}: no part of a model is called "${role}".`, {
        next: [`Its parts are ${FILE_ROLES.join(", ")}.`],
      });
    if (![".gguf", ".safetensors"].includes(extname(path)))
      throw new CliError(`${path} is neither .gguf nor .safetensors.`);
    files[role] = resolve(path);
  }
  return files;
}

function listMoved(
  bindings: readonly ModelBinding[],
  name: string,
  wanted: readonly string[],
): readonly string[] {
  return bindings
    .filter((each) => each.name !== name)
    .flatMap((each) =>
      each.endpoints
        .filter((id) => wanted.includes(id))
        .map((id) => `${id} was answered by ${each.name} until now.`),
    );
}

/** The bindings with this one's endpoints added; whoever had them loses them. */
function bind(
  bindings: readonly ModelBinding[],
  added: Omit<ModelBinding, "endpoints">,
  wanted: readonly string[],
): readonly ModelBinding[] {
  const old = bindings.find((each) => each.name === added.name);
  const endpoints = [...new Set([...(old?.endpoints ?? []), ...wanted])];
  const others = bindings
    .filter((each) => each !== old)
    .map((each) => ({ ...each, endpoints: each.endpoints.filter((id) => !wanted.includes(id)) }))
    // A folder of this machine is known from here alone.
    .filter((each) => each.endpoints.length > 0 || each.path !== undefined);
  return [...others, { ...old, ...added, endpoints }];
}

/**
 * Has a running server take the change. One that cannot offer the model makes the change undone.
 * @returns undefined when no server holds the data folder
 */
async function reload(
  { dataDir }: WeightsSettings,
  change: BindingsChange,
  name: string | undefined,
): Promise<readonly InstalledModel[] | undefined> {
  const undo = () => changeModelBindings(dataDir, (now) => undoChange(now, change));
  let reply: { readonly answer: unknown } | undefined;
  try {
    reply = await sendControlCommand(dataDir, { command: "models.reload" });
  } catch (error) {
    await undo();
    throw new CliError(`The running server does not take the change: ${(error as Error).message}`, {
      next: ["Nothing was changed. Is the server of the same version?"],
      cause: error,
    });
  }
  if (reply === undefined) return undefined;
  const { models } = reply.answer as { readonly models: readonly InstalledModel[] };
  const problem = models.find((model) => model.name === name)?.problem;
  if (name === undefined || (models.some((model) => model.name === name) && problem === undefined))
    return models;
  await undo();
  await sendControlCommand(dataDir, { command: "models.reload" });
  throw new CliError(`${name} cannot be served: ${problem ?? "the server does not find it"}`, {
    next: [
      "Nothing was changed.",
      ...(problem === undefined ? ["Does the server use the same folder of weights (SLUICE_WEIGHTS)?"] : []),
    ],
  });
}
