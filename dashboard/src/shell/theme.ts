export type Theme = "system" | "light" | "dark";

const NAME = "sluice.theme";

export function readTheme(): Theme {
  const kept = localStorage.getItem(NAME);
  return kept === "light" || kept === "dark" ? kept : "system";
}

export function applyTheme(theme: Theme = readTheme()): void {
  if (theme === "system") localStorage.removeItem(NAME);
  else localStorage.setItem(NAME, theme);
  document.documentElement.dataset["theme"] = theme;
}
