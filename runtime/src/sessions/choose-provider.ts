import { EngineError } from "../engines/engine.ts";
import { findReason, isMemoryError } from "./native-error.ts";

/** What computes a graph: the processor, or a graphics card through one of onnxruntime's execution providers. */
export type Provider = "cpu" | "cuda" | "dml" | "webgpu" | "coreml";

export const PROVIDERS: readonly Provider[] = ["cpu", "cuda", "dml", "webgpu", "coreml"];

/** In this order when nothing is chosen; CoreML only by name, because it compiles a graph anew for every size. */
const PROBED: readonly Provider[] = ["cuda", "dml", "webgpu"];

export interface ProviderProbe {
  /** Providers that this build of onnxruntime has. */
  readonly listBackends: () => Promise<readonly { readonly name: string; readonly bundled: boolean }[]>;
  /** Runs a graph of one product on the provider alone. @throws when it cannot */
  readonly tryProvider: (provider: Provider) => Promise<void>;
}

/**
 * The provider of that name, or with `auto` the first graphics card that computes a small product, else the
 * processor. onnxruntime itself goes on without a provider that it lacks; here that is an error, or for `auto` a
 * line of the log.
 * @throws EngineError `invalid_input` for a name that is none, `unavailable` for a provider that does not work here,
 * `out_of_memory` for one that has no memory left
 */
export async function chooseProvider(
  wanted: string,
  probe: ProviderProbe,
  log: (message: string) => void,
): Promise<Provider> {
  if (wanted === "cpu") return "cpu";
  const backends = await probe.listBackends();
  const listed = PROVIDERS.filter((name) => backends.some((backend) => backend.name === name));
  if (wanted === "auto") {
    for (const provider of PROBED.filter((name) => listed.includes(name))) {
      const problem = await findProblem(provider, probe);
      if (problem === undefined) return provider;
      log(`the provider "${provider}" does not work here (${problem})`);
    }
    log("no graphics card can be used: the processor computes, which takes minutes for large models");
    return "cpu";
  }
  const provider = PROVIDERS.find((name) => name === wanted);
  if (provider === undefined)
    throw new EngineError(
      "invalid_input",
      `The provider "${wanted}" is not known; use auto, ${PROVIDERS.join(", ")}.`,
    );
  if (!listed.includes(provider))
    throw new EngineError(
      "unavailable",
      `The provider "${provider}" is not part of onnxruntime-node on ${process.platform} ${process.arch}, which has ${listed.join(", ")}. Choose one of these, or auto.`,
    );
  const problem = await findProblem(provider, probe);
  if (problem === undefined) return provider;
  throw new EngineError(
    "unavailable",
    `The provider "${provider}" does not work here: ${problem}. ${ADVICE[provider] ?? "Choose another, or auto."}`,
  );
}

const ADVICE: Partial<Record<Provider, string>> = {
  cuda: "It needs an NVIDIA driver, CUDA 12 and cuDNN 9 on the loader's path, and its libraries: `ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install`.",
  webgpu: "It needs a graphics driver with Vulkan (Linux), Direct3D 12 (Windows) or Metal (macOS).",
};

async function findProblem(provider: Provider, probe: ProviderProbe): Promise<string | undefined> {
  try {
    await probe.tryProvider(provider);
    return undefined;
  } catch (error) {
    const reason = findReason(error);
    // The card works: idle models may make room, and the processor would take minutes for what it does in seconds.
    if (isMemoryError(error))
      throw new EngineError(
        "out_of_memory",
        `There is no memory left for "${provider}" (${reason}). Free some, or choose the provider cpu.`,
        { cause: error },
      );
    return reason;
  }
}
