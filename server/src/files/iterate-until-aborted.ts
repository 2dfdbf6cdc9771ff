/** Ends the iteration with the signal's reason even while the source is silent. */
export async function* iterateUntilAborted(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  if (signal === undefined) {
    yield* source;
    return;
  }
  const iterator = source[Symbol.asyncIterator]();
  // One rejector at a time: racing every chunk against one promise would keep them all alive until it settles.
  let rejectWait: (reason: unknown) => void = () => {};
  const stop = (): void => rejectWait(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  let isDone = false;
  try {
    while (true) {
      const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        rejectWait = reject;
        if (signal.aborted) stop();
        else iterator.next().then(resolve, reject);
      });
      if (next.done) {
        isDone = true;
        return;
      }
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", stop);
    // Not awaited: a generator that waits for its next chunk answers `return` only after that chunk.
    if (!isDone) iterator.return?.().catch(() => {});
  }
}
