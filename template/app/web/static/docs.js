// Starts Swagger UI on the page in `templates/docs.html`.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const followScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
followScheme();
dark.addEventListener("change", followScheme);

// Fixes Swagger UI for screen readers: a link must not be inside a button, and every control must have a name.
const accessible = () => ({
  wrapComponents: {
    DeepLink: (_, { React }) => ({ text }) => React.createElement("span", null, text),
    TextArea: (TextArea, { React }) => (props) =>
      React.createElement(TextArea, { "aria-label": "Request body", ...props }),
    CloseIcon: (CloseIcon, { React }) => (props) =>
      React.createElement("span", { role: "img", "aria-label": "Close" }, React.createElement(CloseIcon, props)),
  },
});
// The page's header shows what Swagger UI would show here.
const withoutInfo = () => ({ wrapComponents: { InfoContainer: () => () => null } });

const root = document.getElementById("docs");
SwaggerUIBundle({
  domNode: root,
  url: root.dataset.document,
  plugins: [accessible, withoutInfo],
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  // The schemas are shown with the operations; the list of all schemas comes last and starts out collapsed.
  defaultModelsExpandDepth: 0,
});
