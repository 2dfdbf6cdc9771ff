import type { LicenseTerms } from "./model-catalog.ts";

/** What a licence allows by its name, as hubs write it; null when that does not say. */
export function classifyLicense(license: string | null | undefined): LicenseTerms | null {
  if (license === null || license === undefined || license === "" || /^(other|unknown)$/i.test(license))
    return null;
  if (/non-?commercial|(^|[^a-z])nc([^a-z]|$)|research/i.test(license)) return "non-commercial";
  if (/community|llama|gemma/i.test(license)) return "conditional";
  if (/openrail|\brail\b/i.test(license)) return "restricted";
  const isOpen =
    /^(mit|apache-2\.0|bsd(-[0-9]-clause)?|isc|unlicense|cc0-1\.0|cc-by(-sa)?-[0-9.]+|openmdw.*)$/i;
  return isOpen.test(license) ? "open" : null;
}
