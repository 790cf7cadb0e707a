// Drives Chromium with one page: commands come as JSON lines on stdin, each is answered by one JSON line on stdout whose
// `event` is the command's name. Elements are named by their `data-testid`. When stdin ends the browser is closed.
// The browser is /usr/bin/chromium, or what the environment variable CHROMIUM names.
//
// Commands, by `do`:
//   open        {url, width, height}
//   click       {id}    fill {id, text}    select {id, value}
//   wait        {id, has}        until the first such element is visible and its `data-` attributes have these values
//                                (null: any value); the answer is as for `read`
//   read        {id}             {count, visible, disabled, text, data} of the first such element
//   resize      {width, height}  {overflow}: pixels by which the page is wider than the window
//   screenshot  {path}           of what the window shows
//   problems    {list}: errors on the console, uncaught errors, requests that failed

import { createInterface } from "node:readline";

import { chromium } from "playwright-core";

const EXECUTABLE = process.env.CHROMIUM ?? "/usr/bin/chromium";
const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const PATIENCE_MS = 25_000;

const browser = await chromium.launch({ executablePath: EXECUTABLE, args: ARGUMENTS });
const context = await browser.newContext();
context.setDefaultTimeout(PATIENCE_MS);
const page = await context.newPage();
const problems = [];
page.on("console", (message) => { if (message.type() === "error") problems.push(message.text()); });
page.on("pageerror", (error) => problems.push(String(error)));
page.on("requestfailed", (request) => problems.push(`${request.method()} ${request.url()}: failed`));

const first = (id) => page.getByTestId(id).first();

const commands = {
  async open({ url, width, height }) {
    await page.setViewportSize({ width, height });
    await page.goto(url);
    return {};
  },
  async click({ id }) {
    await first(id).click();
    return {};
  },
  async fill({ id, text }) {
    await first(id).fill(text);
    return {};
  },
  async select({ id, value }) {
    await first(id).selectOption(value);
    return {};
  },
  async wait({ id, has = {} }) {
    const attributes = Object.entries(has).map(([name, value]) => {
      return value === null ? `[data-${name}]` : `[data-${name}=${JSON.stringify(String(value))}]`;
    });
    const element = page.locator(`[data-testid="${id}"]${attributes.join("")}`).first();
    await element.waitFor({ state: "visible" });
    return describe(element, 1);
  },
  async read({ id }) {
    const count = await page.getByTestId(id).count();
    return count === 0 ? { count } : describe(first(id), count);
  },
  async resize({ width, height }) {
    await page.setViewportSize({ width, height });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    return { overflow };
  },
  async screenshot({ path }) {
    await page.screenshot({ path });
    return {};
  },
  async problems() {
    return { list: problems };
  },
};

async function describe(element, count) {
  const visible = await element.isVisible();
  const { text, data, disabled } = await element.evaluate((each) => {
    return { text: each.textContent, data: { ...each.dataset }, disabled: Boolean(each.disabled) };
  });
  return { count, visible, disabled, text, data };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { do: event, ...body } = JSON.parse(line);
  process.stdout.write(`${JSON.stringify({ event, ...await commands[event](body) })}\n`);
}
await browser.close();
