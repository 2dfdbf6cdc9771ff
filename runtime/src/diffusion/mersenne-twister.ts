/** The 32-bit Mersenne Twister (MT19937, Matsumoto and Nishimura 1998), seeded as PyTorch's CPU generator. */
export interface MersenneTwister {
  /** The next 32 bits, unsigned. */
  next(): number;
}

const SIZE = 624;
const SHIFT = 397;

/** @param seed any safe integer; its low 32 bits decide */
export function createMersenneTwister(seed: number): MersenneTwister {
  const state = new Uint32Array(SIZE);
  // A remainder, not a bit operation, so that seeds above 2^32 keep their low bits.
  state[0] = seed % 4294967296;
  for (let i = 1; i < SIZE; i++) {
    const previous = at(state, i - 1);
    state[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i;
  }
  let position = SIZE;
  return {
    next() {
      if (position === SIZE) {
        twist(state);
        position = 0;
      }
      let word = at(state, position++);
      word ^= word >>> 11;
      word ^= (word << 7) & 0x9d2c5680;
      word ^= (word << 15) & 0xefc60000;
      word ^= word >>> 18;
      return word >>> 0;
    },
  };
}

function twist(state: Uint32Array): void {
  for (let i = 0; i < SIZE; i++) {
    const joined = (at(state, i) & 0x80000000) | (at(state, (i + 1) % SIZE) & 0x7fffffff);
    state[i] = at(state, (i + SHIFT) % SIZE) ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
  }
}

function at(state: Uint32Array, index: number): number {
  return state[index] as number;
}
