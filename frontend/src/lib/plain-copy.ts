/**
 * What is shown for people ("37,923", "2024-01-31 12:00") is copied for machines ("37923",
 * "2024-01-31T12:00:00Z"): the value stands in the element's own attribute.
 */

const LINE = new Set(["DIV", "P", "TR", "LI", "DT", "DD", "H1", "H2", "H3", "PRE"]);

export function plainText(node: Node): string {
  return walk(node)
    .replace(/[ \t]*\n[\s]*/g, "\n")
    .trim();
}

function walk(node: Node): string {
  if (node.nodeType === Node.TEXT_NODE) return node.textContent ?? "";
  if (node instanceof HTMLElement) {
    const plain = machineValue(node);
    if (plain !== null) return plain;
  }
  let text = "";
  let cells = 0;
  for (const child of node.childNodes) {
    if (child instanceof HTMLElement && isCell(child))
      text += (cells++ > 0 ? "\t" : "") + walk(child);
    else text += walk(child);
  }
  const isLine = node instanceof HTMLElement && (LINE.has(node.tagName) || role(node) === "row");
  return isLine && !isCell(node) ? `${text}\n` : text;
}

function machineValue(element: HTMLElement): string | null {
  if (element.tagName === "DATA") return element.getAttribute("value");
  if (element.tagName === "TIME") return element.getAttribute("datetime");
  return null;
}

function isCell(element: HTMLElement): boolean {
  return (
    ["TD", "TH"].includes(element.tagName) || ["gridcell", "columnheader"].includes(role(element))
  );
}

function role(element: HTMLElement): string {
  return element.getAttribute("role") ?? "";
}

/** A `copy` handler for the document: leaves fields alone, and selections without a figure. */
export function copyPlain(event: ClipboardEvent): void {
  const target = event.target;
  if (target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement) return;
  const selection = document.getSelection();
  if (selection === null || selection.isCollapsed || selection.rangeCount === 0) return;
  const range = selection.getRangeAt(0);
  const within = range.commonAncestorContainer;
  const holder = (within instanceof Element ? within : within.parentElement)?.closest("data, time");
  // A whole figure marked: the range holds its text alone, without the element that has its value.
  const figure = selection.toString().trim() === holder?.textContent.trim() ? holder : null;
  const fragment = range.cloneContents();
  if (figure === null && fragment.querySelector("data, time") === null) return;
  event.clipboardData?.setData("text/plain", plainText(figure ?? fragment));
  event.preventDefault();
}
