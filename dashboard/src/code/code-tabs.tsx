import { CODE_LANGUAGES, type CodeCall } from "@sluice/protocol/snippets";
import { type KeyboardEvent, type ReactNode, useState } from "react";
import { CodeBlock } from "./code-block.tsx";

const NAME = "sluice.language";

/** The call as a program in the language one last chose. */
export function CodeTabs({ call }: { readonly call: CodeCall }): ReactNode {
  const [chosen, setChosen] = useState(() => localStorage.getItem(NAME) ?? "javascript");
  const language = CODE_LANGUAGES.find(({ id }) => id === chosen) ?? CODE_LANGUAGES[0];
  if (language === undefined) return null;
  const choose = (id: string): void => {
    setChosen(id);
    localStorage.setItem(NAME, id);
  };
  const move = (event: KeyboardEvent): void => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    const index = CODE_LANGUAGES.indexOf(language) + by + CODE_LANGUAGES.length;
    const next = CODE_LANGUAGES[index % CODE_LANGUAGES.length];
    if (next === undefined) return;
    choose(next.id);
    document.getElementById(`code-tab-${next.id}`)?.focus();
  };
  return (
    <div className="tabs">
      <div className="tablist" role="tablist" aria-label="Language" onKeyDown={move}>
        {CODE_LANGUAGES.map(({ id, name }) => (
          <button
            key={id}
            id={`code-tab-${id}`}
            type="button"
            role="tab"
            className="tab"
            aria-selected={id === language.id}
            aria-controls="code-panel"
            tabIndex={id === language.id ? 0 : -1}
            onClick={() => choose(id)}
          >
            {name}
          </button>
        ))}
      </div>
      <div id="code-panel" role="tabpanel" aria-labelledby={`code-tab-${language.id}`}>
        <CodeBlock code={language.format(call)} label={`${language.name} code`} />
      </div>
    </div>
  );
}
