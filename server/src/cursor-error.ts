/** The caller's cursor is not one that a page gave out: a 4xx for the caller. */
export class CursorError extends Error {
  constructor() {
    super("The cursor is not valid. Use next_cursor of the page before as it is, or leave it out.");
    this.name = "CursorError";
  }
}
