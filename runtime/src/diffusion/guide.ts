/**
 * Classifier-free guidance (Ho and Salimans 2022): from the prediction without the prompt, or for what is not
 * wanted, towards the prompt's, and past it.
 */
export function guide(unwanted: Float32Array, wanted: Float32Array, scale: number): Float32Array {
  return unwanted.map((value, i) => value + scale * ((wanted[i] as number) - value));
}

/** One prediction, or two in the order without and with the prompt. */
export function combineRows(rows: readonly Float32Array[], guidance: number): Float32Array {
  const [unwanted, wanted] = rows;
  if (unwanted === undefined) throw new TypeError("the network answered nothing");
  return wanted === undefined ? unwanted : guide(unwanted, wanted, guidance);
}
