import { createMersenneTwister, type MersenneTwister } from "./mersenne-twister.ts";

export type NoiseType = "float32" | "bfloat16" | "float16";

/** A stream of standard normal numbers; one per picture, so that pictures do not depend on each other. */
export interface NoiseSource {
  /** The next tensor's worth of values; each call goes on where the last one stopped. */
  draw(count: number, type?: NoiseType): Float32Array;
}

/**
 * The numbers of `torch.randn` with a CPU generator, bit for bit, as PyTorch draws them on x86 with AVX2: the
 * same seed starts from the same noise as in the reference pipelines. Checked against recorded values.
 * @param seed 0..2^53-1; only the low 32 bits count
 */
export function createNoiseSource(seed: number): NoiseSource {
  const generator = createMersenneTwister(seed);
  const drawScalar = createScalarDraw(generator);
  return {
    draw(count, type = "float32") {
      const values = new Float32Array(count);
      if (count < BLOCK) for (let i = 0; i < count; i++) values[i] = drawScalar();
      else fill(values, generator, FORMATS[type]);
      return values;
    },
  };
}

/** How one element type draws uniform numbers and turns a pair of them into a pair of normal ones. */
interface Format {
  readonly mask: number;
  readonly transform: (values: Float32Array, index: number) => void;
}

const BLOCK = 16;
const HALF = 8;
const F = Math.fround;

function fill(values: Float32Array, generator: MersenneTwister, format: Format): void {
  const draw = () => (generator.next() & format.mask) / (format.mask + 1);
  for (let i = 0; i < values.length; i++) values[i] = draw();
  let start = 0;
  for (; start + BLOCK <= values.length; start += BLOCK) transformBlock(values, start, format);
  if (start === values.length) return;
  // The reference finishes an uneven tensor by drawing its last sixteen values anew.
  start = values.length - BLOCK;
  for (let i = start; i < values.length; i++) values[i] = draw();
  transformBlock(values, start, format);
}

function transformBlock(values: Float32Array, start: number, format: Format): void {
  for (let i = 0; i < HALF; i++) format.transform(values, start + i);
}

const FORMATS: Readonly<Record<NoiseType, Format>> = {
  float32: {
    mask: 0xffffff,
    transform(values, index) {
      const u1 = F(1 - at(values, index));
      const radius = F(Math.sqrt(F(-2 * logarithm(u1))));
      const { sin, cos } = sineAndCosine(F(TWO_PI * at(values, index + HALF)));
      values[index] = radius * cos;
      values[index + HALF] = radius * sin;
    },
  },
  bfloat16: {
    mask: 0xff,
    transform(values, index) {
      const u1 = roundToBfloat16(1 - at(values, index));
      const log = roundToBfloat16(Math.log(u1));
      const radius = roundToBfloat16(Math.sqrt(roundToBfloat16(-2 * log)));
      const angle = roundToBfloat16(2 * Math.PI * at(values, index + HALF));
      values[index] = roundToBfloat16(radius * roundToBfloat16(Math.cos(angle)));
      values[index + HALF] = roundToBfloat16(radius * roundToBfloat16(Math.sin(angle)));
    },
  },
  float16: {
    mask: 0x7ff,
    transform(values, index) {
      const u1 = roundToFloat16(1 - at(values, index));
      const radius = roundToFloat16(F(Math.sqrt(F(-2 * F(Math.log(u1))))));
      const angle = roundToFloat16(2 * Math.PI * at(values, index + HALF));
      values[index] = roundToFloat16(radius * F(Math.cos(angle)));
      values[index + HALF] = roundToFloat16(radius * F(Math.sin(angle)));
    },
  },
};

/** Tensors of fewer than sixteen values take this path: double precision, two values per pair of draws. */
function createScalarDraw(generator: MersenneTwister): () => number {
  let kept: number | undefined;
  const drawUniform = () => {
    const high = generator.next() & 0x1fffff;
    return (high * 4294967296 + generator.next()) / 2 ** 53;
  };
  return () => {
    if (kept !== undefined) {
      const value = kept;
      kept = undefined;
      return value;
    }
    const first = drawUniform();
    const second = drawUniform();
    const radius = Math.sqrt(-2 * Math.log1p(-second));
    const angle = 2 * Math.PI * first;
    kept = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

/** A fused multiply-add in float32: the product of two float32 is exact in double. */
function fma(a: number, b: number, c: number): number {
  return F(a * b + c);
}

const TWO_PI = F(2 * Math.PI);
const SQRT_HALF = F(Math.SQRT1_2);
const LOG_P = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
].map(F);
const LOG_Q1 = F(-2.1219444e-4);
const LOG_Q2 = F(0.693359375);
const bits = new DataView(new ArrayBuffer(4));

/** Natural logarithm of a positive float32 by the Cephes polynomial, as vectorised kernels compute it. */
function logarithm(value: number): number {
  bits.setFloat32(0, value);
  const word = bits.getUint32(0);
  let exponent = (word >>> 23) - 126;
  bits.setUint32(0, (word & 0x007fffff) | 0x3f000000);
  const mantissa = bits.getFloat32(0);
  let x = F(mantissa - 1);
  if (mantissa < SQRT_HALF) {
    exponent -= 1;
    x = F(x + mantissa);
  }
  const z = F(x * x);
  let y = LOG_P[0] as number;
  for (let i = 1; i < LOG_P.length; i++) y = fma(y, x, LOG_P[i] as number);
  y = F(y * x);
  y = fma(y, z, F(exponent * LOG_Q1));
  y = F(y - z / 2);
  return fma(exponent, LOG_Q2, F(x + y));
}

const FOUR_OVER_PI = F(1.27323954473516);
const PI_PARTS = [-0.78515625, -2.4187564849853516e-4, -3.774894977445941e-8].map(F);
const COS_P = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2].map(F);
const SIN_P = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1].map(F);

/** Sine and cosine of a float32 in 0..2π by the Cephes polynomials. */
function sineAndCosine(angle: number): { sin: number; cos: number } {
  const octant = (Math.trunc(F(angle * FOUR_OVER_PI)) + 1) & ~1;
  let x = angle;
  for (const part of PI_PARTS) x = fma(octant, part, x);
  const z = F(x * x);
  const [c0 = 0, c1 = 0, c2 = 0] = COS_P;
  const [s0 = 0, s1 = 0, s2 = 0] = SIN_P;
  let c = F(fma(fma(c0, z, c1), z, c2) * z);
  c = F(F(c * z - z / 2) + 1);
  let s = F(fma(fma(s0, z, s1), z, s2) * z);
  s = fma(s, x, x);
  const [sin, cos] = (octant & 2) === 0 ? [s, c] : [c, s];
  return { sin: octant & 4 ? -sin : sin, cos: (octant - 2) & 4 ? cos : -cos };
}

/** The nearest bfloat16, ties to even. */
function roundToBfloat16(value: number): number {
  bits.setFloat32(0, value);
  const word = bits.getUint32(0);
  bits.setUint32(0, ((word + 0x7fff + ((word >>> 16) & 1)) & 0xffff0000) >>> 0);
  return bits.getFloat32(0);
}

/** The nearest float16 of a number well inside its range, ties to even. */
function roundToFloat16(value: number): number {
  if (value === 0) return value;
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(value))), -14);
  const quantum = 2 ** (exponent - 10);
  const scaled = F(value) / quantum;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const isUp = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0);
  return (isUp ? floor + 1 : floor) * quantum;
}

function at(values: Float32Array, index: number): number {
  return values[index] as number;
}
