// How panels and rows are made from the templates in the page.

/** Copies a template and gives every `data-part` its test id; returns the parts and what is only shown, by name. */
export function instantiate(template, prefix) {
  const root = document.getElementById(template).content.firstElementChild.cloneNode(true);
  const parts = {};
  for (const element of [root, ...root.querySelectorAll("[data-part], [data-show]")]) {
    const { part, show } = element.dataset;
    if (part) {
      element.dataset.testid = `${prefix}-${part}`;
      parts[part] = element;
    }
    if (show) parts[show] = element;
  }
  return { root, parts };
}
