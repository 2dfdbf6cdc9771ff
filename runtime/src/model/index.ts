export { type Artifact, createArtifact, isArtifact } from "./artifact.ts";
export {
  defineModel,
  type InputFiles,
  type ModelDefinition,
  type ModelExample,
  type ModelIdentity,
  type ModelLimits,
  type Preview,
  type Progress,
  type RunContext,
  type SetupContext,
} from "./define-model.ts";
export type { InputFile, ReadFileOptions } from "./input-file.ts";
export { type JsonSchema, type SchemaSource, type StandardJsonSchema, toJsonSchema } from "./json-schema.ts";
export type { ModelFileManifest, ModelManifest } from "./manifest.ts";
export { createModelError, isModelError, ModelError } from "./model-error.ts";
