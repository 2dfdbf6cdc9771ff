import { isDeepStrictEqual } from "node:util";
import type { BindingsChange, ModelBinding } from "@sluice/runtime/weights";

/**
 * The bindings as they are now without one earlier change. What somebody else has changed since stays: an endpoint goes
 * back to the model that had it only if it is still where the change put it, and the same is true of every model's own
 * fields.
 */
export function undoChange(
  current: readonly ModelBinding[],
  { before, after }: BindingsChange,
): readonly ModelBinding[] {
  if (isDeepStrictEqual(current, after)) return before;
  const endpoints = new Set([...before, ...after].flatMap((binding) => binding.endpoints));
  const isMoved = (id: string): boolean =>
    getOwner(before, id) !== getOwner(after, id) && getOwner(current, id) === getOwner(after, id);
  const moved = new Set([...endpoints].filter(isMoved));
  const names = new Set([...current, ...before].map(({ name }) => name));
  return [...names].flatMap((name) => {
    const find = (bindings: readonly ModelBinding[]) => bindings.find((each) => each.name === name);
    const [now, was] = [find(current), find(before)];
    const isSince = !isDeepStrictEqual(getFields(now), getFields(find(after)));
    const kept = (now?.endpoints ?? []).filter((id) => !moved.has(id));
    const returned = (was?.endpoints ?? []).filter((id) => moved.has(id));
    const all = [...kept, ...returned];
    // One that the change made is kept for the endpoints that somebody else gave it.
    const fields = isSince || (was === undefined && all.length > 0) ? now : was;
    const isGone =
      fields === undefined || (now === undefined && all.length === 0 && fields.path === undefined);
    return isGone ? [] : [{ ...fields, endpoints: all }];
  });
}

function getOwner(bindings: readonly ModelBinding[], endpoint: string): string | undefined {
  return bindings.find(({ endpoints }) => endpoints.includes(endpoint))?.name;
}

function getFields(binding: ModelBinding | undefined): object | undefined {
  return binding && { ...binding, endpoints: [] };
}
