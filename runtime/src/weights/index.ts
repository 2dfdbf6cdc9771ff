export type { PullProgress } from "./collect-files.ts";
export { realDisk } from "./disk.ts";
export { type Hub, isLoopback } from "./hub.ts";
export { type InspectedModel, type InspectOptions, inspectModel } from "./inspect-model.ts";
export {
  findInstalledModel,
  type InstalledModel,
  listInstalledModels,
  type ModelDescription,
} from "./installed-models.ts";
export { classifyLicense, requireAcceptance } from "./license-terms.ts";
export {
  type BindingsChange,
  type BoundModel,
  changeModelBindings,
  getBindingsPath,
  type ModelBinding,
  readModelBindings,
  resolveBinding,
} from "./model-bindings.ts";
export {
  type CatalogModel,
  type EngineKind,
  FILE_ROLES,
  type FileRole,
  type LicenseTerms,
  type ModelLimits,
  needsAcceptance,
  readModelCatalog,
} from "./model-catalog.ts";
export { checkModelName, type ModelSource, parseModelSource, suggestName } from "./model-source.ts";
export {
  deleteModelFiles,
  listUnfinishedPulls,
  type PulledModel,
  type PullOptions,
  pullModel,
} from "./pull-model.ts";
export { WeightsError } from "./weights-error.ts";
export { writeFileSafely } from "./write-file-safely.ts";
