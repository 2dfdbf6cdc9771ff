export { getModelVersion, getTinyModelVersion } from "../weights/model-version.ts";
export {
  type DiffusionEngineOptions,
  type DiffusionLimits,
  getDiffusionVersion,
  openDiffusionEngine,
} from "./diffusion-engine.ts";
export {
  type Engine,
  EngineError,
  type EngineErrorKind,
  type EngineInfo,
  type EngineJob,
  type EngineLimits,
  type EngineResult,
  type EngineSink,
  type Picture,
} from "./engine.ts";
export { type EsrganUpscaler, openEsrganUpscaler } from "./esrgan-upscaler.ts";
export { openSdServerEngine, type SdServerEngineOptions } from "./sd-server/sd-server-engine.ts";
export { SD_SERVER_ROLES, type SdServerModel, type SdServerRole } from "./sd-server/sd-server-model.ts";
export { getSdServerVersion } from "./sd-server/sd-server-version.ts";
export { openTinyEngine, type TinyEngineOptions } from "./tiny-engine.ts";
