/** Programs and calls that pages print for an endpoint; each runs as it is printed, with the key in `FAL_KEY`. */
export {
  formatCancel,
  formatRealtime,
  formatResult,
  formatStatus,
  formatStream,
  formatSubmit,
  formatUpload,
  formatWebhook,
} from "./calls.ts";
export { CODE_LANGUAGES, type CodeCall, type CodeLanguage, quoteForShell } from "./programs.ts";
