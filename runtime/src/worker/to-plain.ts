import { type Artifact, isArtifact } from "../model/artifact.ts";
import type { ArtifactMessage } from "./messages.ts";

/**
 * The output as plain JSON data, with every artifact replaced by `{ "$artifact": index }` and its bytes beside it.
 * An object of the model's own that has the key `$artifact` becomes `{ "$artifact": null, "value": … }`, so that
 * it is never taken for one.
 *
 * @throws Error that names the place of what JSON cannot hold: functions, bytes, cycles, bigints, NaN
 */
export function takeArtifacts(output: unknown): { output: unknown; artifacts: ArtifactMessage[] } {
  const artifacts: ArtifactMessage[] = [];
  const indices = new Map<Artifact, number>();
  const plain = toPlain(output, (artifact) => {
    const index = indices.get(artifact) ?? artifacts.push(toArtifactMessage(artifact)) - 1;
    indices.set(artifact, index);
    return { $artifact: index };
  });
  return { output: plain, artifacts };
}

/** The value as plain JSON data, with every artifact as a file object whose URL holds the bytes. */
export function inlineArtifacts(value: unknown): unknown {
  const inline = (artifact: Artifact): unknown => ({
    url: `data:${artifact.contentType};base64,${Buffer.from(artifact.bytes).toString("base64")}`,
    content_type: artifact.contentType,
    ...(artifact.width === undefined ? {} : { width: artifact.width }),
    ...(artifact.height === undefined ? {} : { height: artifact.height }),
  });
  return toPlain(value, inline, (object) => object);
}

export function toArtifactMessage(artifact: Artifact): ArtifactMessage {
  const { bytes, contentType, width, height, fileName, inline } = artifact;
  return {
    bytes,
    contentType,
    ...(width === undefined ? {} : { width }),
    ...(height === undefined ? {} : { height }),
    ...(fileName === undefined ? {} : { fileName }),
    ...(inline === undefined ? {} : { inline }),
  };
}

function toPlain(
  root: unknown,
  onArtifact: (artifact: Artifact) => unknown,
  wrap: (object: object) => object = (object) => ({ $artifact: null, value: object }),
): unknown {
  const path: string[] = ["output"];
  const ancestors = new Set<object>();
  const refuse = (what: string): never => {
    throw new TypeError(`${path.join(".")} is ${what}`);
  };

  const walk = (value: unknown): unknown => {
    switch (typeof value) {
      case "string":
      case "boolean":
      case "undefined":
        return value;
      case "number":
        return Number.isFinite(value) ? value : refuse(`${value}, which JSON cannot hold`);
      case "object":
        return value === null ? null : walkObject(value);
      default:
        return refuse(`a ${typeof value}, which JSON cannot hold`);
    }
  };
  const walkObject = (value: object): unknown => {
    if (isArtifact(value)) return onArtifact(value);
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
      return refuse("bytes: wrap them with createArtifact({ bytes, contentType })");
    }
    if (ancestors.has(value)) refuse("a part of itself");
    if (path.length > 200) refuse("nested too deeply");
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON === "function") return walk(toJSON.call(value, path.at(-1)));
    ancestors.add(value);
    const result = Array.isArray(value)
      ? value.map((item, index) => inside(String(index), item) ?? null)
      : walkFields(value);
    ancestors.delete(value);
    return result;
  };
  const walkFields = (value: object): object => {
    const fields = Object.entries(value)
      .map(([name, field]) => [name, inside(name, field)] as const)
      .filter(([, field]) => field !== undefined);
    const plain = Object.fromEntries(fields);
    return Object.hasOwn(plain, "$artifact") ? wrap(plain) : plain;
  };
  const inside = (name: string, value: unknown): unknown => {
    path.push(name);
    const plain = walk(value);
    path.pop();
    return plain;
  };
  return walk(root);
}
