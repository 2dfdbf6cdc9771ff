import { type CatalogModel, type LicenseTerms, needsAcceptance } from "./model-catalog.ts";
import { WeightsError } from "./weights-error.ts";

/** What a licence allows by its name, as hubs write it; null when that does not say. */
export function classifyLicense(license: string | null | undefined): LicenseTerms | null {
  if (license === null || license === undefined || license === "" || /^(other|unknown)$/i.test(license))
    return null;
  if (/non-?commercial|(^|[^a-z])nc([^a-z]|$)|research|\bnscl\b/i.test(license)) return "non-commercial";
  if (/community|llama|gemma/i.test(license)) return "conditional";
  if (/openrail|\brail\b/i.test(license)) return "restricted";
  const isOpen =
    /^(mit|apache-2\.0|bsd(-[0-9]-clause)?|isc|unlicense|cc0-1\.0|cc-by(-sa)?-[0-9.]+|openmdw.*)$/i;
  return isOpen.test(license) ? "open" : null;
}

/** @throws WeightsError when the licence has to be accepted and was not */
export function requireAcceptance(
  title: string,
  {
    license,
    terms,
    catalog,
  }: {
    readonly license: string | null;
    readonly terms: LicenseTerms | null;
    readonly catalog?: CatalogModel | undefined;
  },
  { isLicenseAccepted }: { readonly isLicenseAccepted: boolean },
): void {
  if (terms === null || !needsAcceptance(terms) || isLicenseAccepted) return;
  const what =
    terms === "non-commercial" ? "does not allow commercial use" : "has conditions on revenue or deployment";
  const where = catalog?.licenseUrl === undefined ? "" : ` Read it at ${catalog.licenseUrl}.`;
  throw new WeightsError(`${title} is under the ${license}, which ${what}.${where}`, {
    next: ["If you accept it: repeat the command with --accept-license."],
  });
}
