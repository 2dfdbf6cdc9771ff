import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/pages.css";
import { App } from "./app.tsx";
import { applyTheme } from "./shell/theme.ts";

applyTheme();
const root = document.getElementById("root");
if (root !== null)
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
