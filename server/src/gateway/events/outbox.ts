/**
 * What one listener is still to be told, in a bounded room. Of messages that may be lost a later one under the same
 * name takes the place of the one before, and when a listener is too slow even so, all of them are forgotten but that
 * there were some. Messages that may not be lost wait their turn outside.
 */
export class Outbox {
  readonly #messages = new Map<string, string>();
  readonly #kept: string[] = [];
  #bytes = 0;
  #hasLost = false;
  #sequence = 0;
  #wake: (() => void) | undefined;
  #room: (() => void)[] = [];

  /** Everything up to this notice is in what is taken next, or was not for this listener. */
  mark(sequence: number): void {
    this.#sequence = sequence;
  }

  /** A message that may be dropped: a hint, a step, a preview. */
  put(name: string, text: string): void {
    const old = this.#messages.get(name);
    if (old !== undefined) {
      this.#bytes -= old.length;
      // Behind what came in between.
      this.#messages.delete(name);
    }
    if (this.#messages.size >= MAX_MESSAGES || this.#bytes + text.length > MAX_BYTES) {
      this.#messages.clear();
      this.#bytes = 0;
      this.#hasLost = true;
    } else {
      this.#messages.set(name, text);
      this.#bytes += text.length;
    }
    this.#wake?.();
  }

  /**
   * A message that is not dropped. Resolves when it was taken, so that its sender makes the next one only then; or when
   * the signal aborts.
   */
  keep(text: string, signal: AbortSignal): Promise<void> {
    this.#kept.push(text);
    this.#wake?.();
    return new Promise((resolve) => {
      this.#room.push(resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  /**
   * All there is; waits for it up to `ms`. `hasLost`: the listener missed something before this. `sequence`: the last
   * mark.
   */
  async take(
    ms: number,
    signal: AbortSignal,
  ): Promise<{ readonly hasLost: boolean; readonly messages: readonly string[]; readonly sequence: number }> {
    const isEmpty = this.#messages.size === 0 && this.#kept.length === 0 && !this.#hasLost;
    if (isEmpty && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
        signal.addEventListener("abort", this.#wake, { once: true });
      });
      if (this.#wake !== undefined) signal.removeEventListener("abort", this.#wake);
      this.#wake = undefined;
    }
    const messages = [...this.#messages.values(), ...this.#kept.splice(0)];
    const taken = { hasLost: this.#hasLost, messages, sequence: this.#sequence };
    this.#messages.clear();
    this.#bytes = 0;
    this.#hasLost = false;
    for (const resolve of this.#room.splice(0)) resolve();
    return taken;
  }
}

const MAX_MESSAGES = 500;
/** Of text. A preview has some ten kilobytes. */
const MAX_BYTES = 4 * 2 ** 20;
