import { type FileHandle, open } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { EngineError } from "../engine.ts";
import { describeFolder } from "./sd-server-model.ts";

/** A safetensors header beyond this is no header. */
const MOST_HEADER_BYTES = 100_000_000;
/** How GGUF files begin, and which of its versions stable-diffusion.cpp reads. */
const GGUF = { magic: "GGUF", versions: [2, 3] };

/**
 * Looks at the beginning of a file of weights, so that one that is missing, cut off or of another kind is named
 * before a program spends minutes on it. All tensors of a safetensors file have to lie inside of it.
 * @returns its size in bytes
 * @throws EngineError
 */
export async function checkWeightsFile(path: string): Promise<number> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (cause) {
    throw new EngineError(
      "failed",
      `The weights ${basename(path)} cannot be read in ${dirname(path)}: ${describeFolder(dirname(path))}. Pull the model again, or correct the path.`,
      { cause },
    );
  }
  try {
    const { size } = await file.stat();
    const problem = /\.gguf$/i.test(path)
      ? await findGgufProblem(file)
      : await findSafetensorsProblem(file, size);
    if (problem !== undefined)
      throw new EngineError(
        "failed",
        `The weights ${path} are damaged or incomplete: ${problem}. Pull the model again.`,
      );
    return size;
  } finally {
    await file.close();
  }
}

async function readBytes(file: FileHandle, length: number, position: number): Promise<Buffer> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}

async function findGgufProblem(file: FileHandle): Promise<string | undefined> {
  const bytes = await readBytes(file, 8, 0);
  if (bytes.length < 8 || bytes.toString("latin1", 0, 4) !== GGUF.magic)
    return describePointer(bytes) ?? "it is not a GGUF file";
  const version = bytes.readUInt32LE(4);
  return GGUF.versions.includes(version) ? undefined : `it is GGUF of version ${version}`;
}

async function findSafetensorsProblem(file: FileHandle, size: number): Promise<string | undefined> {
  const start = await readBytes(file, 8, 0);
  const length = start.length < 8 ? 0 : Number(start.readBigUInt64LE());
  if (length < 2 || length > MOST_HEADER_BYTES)
    return describePointer(start) ?? "it is not a safetensors file";
  if (8 + length > size) return `it ends at ${size} bytes, inside its header`;
  let header: Readonly<Record<string, { readonly data_offsets?: readonly number[] }>>;
  try {
    header = JSON.parse((await readBytes(file, length, 8)).toString("utf8"));
  } catch {
    return "it is not a safetensors file";
  }
  const ends = Object.values(header).map((tensor) => tensor.data_offsets?.[1] ?? 0);
  const needed = 8 + length + ends.reduce((most, end) => Math.max(most, end), 0);
  return needed > size ? `it has ${size} bytes of ${needed}` : undefined;
}

/** What `git clone` leaves where Git LFS is not installed. */
function describePointer(bytes: Buffer): string | undefined {
  return bytes.toString("latin1").startsWith("version ")
    ? "it is a pointer of Git LFS, not the file itself"
    : undefined;
}
