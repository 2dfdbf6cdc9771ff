/**
 * Runs `work` on each item, at most `limit` at a time, in order of the items; takes a new item only when there is
 * room. Results keep the order. The first failure ends it: nothing new is started, and it rejects at once.
 */
export async function mapLimited<Item, Out>(
  items: Iterable<Item> | AsyncIterable<Item>,
  limit: number,
  work: (item: Item, index: number) => Promise<Out>,
): Promise<Out[]> {
  const results: Out[] = [];
  const running = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  let index = 0;
  for await (const item of items) {
    const at = index++;
    const task = work(item, at)
      .then((result) => {
        results[at] = result;
      })
      .catch((error: unknown) => {
        failure ??= { error };
      })
      .finally(() => running.delete(task));
    running.add(task);
    if (running.size >= limit) await Promise.race(running);
    if (failure !== undefined) throw failure.error;
  }
  await Promise.all(running);
  if (failure !== undefined) throw failure.error;
  return results;
}
