/**
 * Models that the operator installed. Where they lie and how a model file comes of them is the command line's
 * knowledge; the server asks again whenever it is told that something changed.
 */
export interface InstalledModels {
  /** All of them, bound to endpoints or not. @throws when the list itself cannot be read, saying why */
  read(): Promise<readonly InstalledModel[]>;
}

export interface InstalledModel {
  readonly name: string;
  readonly title: string;
  /** `onnx`, `sd-server`; null when unknown. */
  readonly engine: string | null;
  readonly family: string | null;
  readonly license: string | null;
  /** Of its files, in bytes. */
  readonly bytes: number;
  /** Where it was pulled from; null for a folder of this machine. */
  readonly source: string | null;
  /** Endpoints that it is bound to. */
  readonly endpoints: readonly string[];
  /** Absolute path of the model file that serves them; undefined when it is bound to none, or cannot be served. */
  readonly modelFile: string | undefined;
  /** Why it cannot be served. */
  readonly problem: string | undefined;
}
