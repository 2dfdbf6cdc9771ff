/**
 * A value whose shape only the caller knows: the output of an endpoint without types, the body of an error.
 * Callers of the hosted service's own client read such values without a cast, and so may callers of this one.
 */
// biome-ignore lint/suspicious/noExplicitAny: the one place; see above.
export type Untyped = any;
