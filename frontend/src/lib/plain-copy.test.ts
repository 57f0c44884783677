import { expect, test } from "vitest";

import { copyPlain, plainText } from "./plain-copy";

function page(html: string): HTMLElement {
  document.body.innerHTML = html;
  return document.body;
}

function copied(select: Node): string | null {
  const selection = document.getSelection();
  const range = document.createRange();
  range.selectNodeContents(select);
  selection?.removeAllRanges();
  selection?.addRange(range);
  let text: string | null = null;
  const event = new Event("copy", { cancelable: true });
  Object.assign(event, {
    clipboardData: { setData: (_: string, value: string) => (text = value) },
  });
  copyPlain(event as ClipboardEvent);
  return text;
}

test("figures and times are written for machines, rows as lines, cells apart", () => {
  const body = page(
    `<div role="row"><div role="gridcell">BTC</div><div role="gridcell"><data value="37923">37,923</data></div></div>` +
      `<div role="row"><div role="gridcell">ETH</div><div role="gridcell">` +
      `<time datetime="2024-01-01T00:00:00Z">2024-01-01 00:00</time></div></div>`,
  );
  expect(plainText(body)).toBe("BTC\t37923\nETH\t2024-01-01T00:00:00Z");
});

test("a figure marked whole is copied plain", () => {
  const body = page(`<p><data value="37923">37,923</data></p>`);
  const text = body.querySelector("data")?.firstChild;
  expect(text && copied(text)).toBe("37923");
});

test("text without figures is left to the browser", () => {
  expect(copied(page("<p>BTC/USDT</p>"))).toBeNull();
});
