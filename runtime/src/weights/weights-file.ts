import { open } from "node:fs/promises";
import { extname } from "node:path";
import { WeightsError } from "./weights-error.ts";

/** What the head of a safetensors or GGUF file says, without its weights. */
export interface WeightsFileFacts {
  readonly format: "safetensors" | "gguf";
  readonly tensors: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly bytes: number;
}

/**
 * Reads the names of the tensors and checks that the file is as long as they say.
 * @throws WeightsError for another format, a damaged or a truncated file
 */
export async function readWeightsFile(path: string): Promise<WeightsFileFacts> {
  const file = await open(path).catch((cause: unknown) => {
    throw new WeightsError(`${path} cannot be read.`, { next: ["Is the path right?"], cause });
  });
  try {
    const { size } = await file.stat();
    const head = Buffer.alloc(Math.min(size, 64));
    await file.read(head, 0, head.length, 0);
    const start = head.toString("latin1");
    if (start.startsWith("GGUF")) return await readGguf(createReader(file, size), size);
    if (start.startsWith("version https://git-lfs"))
      throw new WeightsError(`${path} is a pointer of Git LFS, not the file itself.`, {
        next: ["Run `git lfs pull` in its folder."],
      });
    // A safetensors file begins with the length of its head, whose bytes can be anything, and the head with a brace.
    if (head[8] !== BRACE && (start.startsWith("PK") || start.startsWith("\u0080")))
      throw new WeightsError(`${path} is a pickle of PyTorch, which may run code when it is opened.`, {
        next: ["Get the model as .safetensors or .gguf."],
      });
    if (extname(path).toLowerCase() === ".gguf")
      throw new WeightsError(`${path} is no GGUF file: it does not begin with "GGUF".`, {
        next: ["Get the file again; pages and error texts of web sites are often saved by such a name."],
      });
    return await readSafetensors(createReader(file, size), size);
  } catch (error) {
    if (error instanceof WeightsError) throw error;
    throw new WeightsError(`${path} is damaged or incomplete: ${(error as Error).message}.`, {
      next: ["Get the file again.", "Single files are .safetensors or .gguf; ONNX graphs come as a folder."],
      cause: error,
    });
  } finally {
    await file.close();
  }
}

const BRACE = 0x7b;
const LONGEST_HEAD = 256 * 2 ** 20;

async function readSafetensors(reader: Reader, size: number): Promise<WeightsFileFacts> {
  const length = Number(await reader.readUint64());
  if (length < 2 || length > LONGEST_HEAD || length + 8 > size)
    throw new RangeError("it is no safetensors file");
  const text = (await reader.readBytes(length)).toString("utf8");
  const head = JSON.parse(text) as Record<string, { readonly data_offsets?: readonly [number, number] }>;
  const { __metadata__: metadata = {}, ...tensors } = head;
  const end = Math.max(
    0,
    ...Object.values(tensors).map(({ data_offsets }) => Number(data_offsets?.[1] ?? 0)),
  );
  if (8 + length + end > size)
    throw new RangeError(`it ends at byte ${size}, its weights at ${8 + length + end}`);
  return {
    format: "safetensors",
    tensors: Object.keys(tensors),
    metadata: metadata as Record<string, string>,
    bytes: size,
  };
}

/** The layout is that of ggml's gguf.md. */
async function readGguf(reader: Reader, size: number): Promise<WeightsFileFacts> {
  await reader.readBytes(4);
  const version = await reader.readUint32();
  if (version < 2 || version > 3) throw new RangeError(`it is GGUF version ${version}; known are 2 and 3`);
  const [tensorCount, entryCount] = [Number(await reader.readUint64()), Number(await reader.readUint64())];
  if (tensorCount > 1e6 || entryCount > 1e6) throw new RangeError("its head makes no sense");
  const metadata: Record<string, string> = {};
  for (let i = 0; i < entryCount; i++) {
    const key = await reader.readText();
    const value = await readGgufValue(reader, await reader.readUint32());
    if (value !== undefined) metadata[key] = value;
  }
  const tensors: string[] = [];
  let last = 0;
  for (let i = 0; i < tensorCount; i++) {
    tensors.push(await reader.readText());
    const axes = await reader.readUint32();
    if (axes > 8) throw new RangeError("its head makes no sense");
    await reader.skip(8 * axes + 4);
    last = Math.max(last, Number(await reader.readUint64()));
  }
  if (reader.at + last > size) throw new RangeError(`it ends at byte ${size}, before its last weight`);
  return { format: "gguf", tensors, metadata, bytes: size };
}

/** Bytes of the kinds of values with a fixed size; 8 is a text, 9 a list. */
const GGUF_SIZES: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};
const GGUF_TEXT = 8;
const GGUF_LIST = 9;

async function readGgufValue(reader: Reader, type: number): Promise<string | undefined> {
  if (type === GGUF_TEXT) return reader.readText();
  if (type === GGUF_LIST) {
    const inner = await reader.readUint32();
    const count = Number(await reader.readUint64());
    const size = GGUF_SIZES[inner];
    if (size !== undefined) await reader.skip(size * count);
    else for (let i = 0; i < count; i++) await readGgufValue(reader, inner);
    return undefined;
  }
  const size = GGUF_SIZES[type];
  if (size === undefined) throw new RangeError(`it has a value of the unknown kind ${type}`);
  await reader.skip(size);
  return undefined;
}

interface Reader {
  readonly at: number;
  readBytes(count: number): Promise<Buffer>;
  readUint32(): Promise<number>;
  readUint64(): Promise<bigint>;
  readText(): Promise<string>;
  skip(count: number): Promise<void>;
}

const WINDOW = 1 << 20;

function createReader(file: Awaited<ReturnType<typeof open>>, size: number): Reader {
  let at = 0;
  let window: Buffer = Buffer.alloc(0);
  let start = 0;
  const readBytes = async (count: number): Promise<Buffer> => {
    if (at + count > size) throw new RangeError(`it ends at byte ${size}, in the middle of a value`);
    if (at < start || at + count > start + window.length) {
      start = at;
      window = Buffer.alloc(Math.min(Math.max(count, WINDOW), size - at));
      await file.read(window, 0, window.length, start);
    }
    const bytes = window.subarray(at - start, at - start + count);
    at += count;
    return bytes;
  };
  return {
    get at() {
      return at;
    },
    readBytes,
    readUint32: async () => (await readBytes(4)).readUInt32LE(),
    readUint64: async () => (await readBytes(8)).readBigUInt64LE(),
    async readText() {
      const length = Number((await readBytes(8)).readBigUInt64LE());
      if (length > LONGEST_HEAD) throw new RangeError("its head makes no sense");
      return (await readBytes(length)).toString("utf8");
    },
    async skip(count) {
      if (at + count > size) throw new RangeError(`it ends at byte ${size}, in the middle of a value`);
      at += count;
    },
  };
}
