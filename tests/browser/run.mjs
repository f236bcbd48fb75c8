// The pages in a real browser:
//   node tests/browser/run.mjs http://127.0.0.1:4000 http://127.0.0.1:4100 [directory for pictures]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [base, admin, pictures] = process.argv.slice(2);
if (!base || !admin) {
  console.error('usage: node tests/browser/run.mjs GATEWAY SANDBOX-ADMIN [directory for pictures]');
  process.exit(2);
}
const origin = new URL(base).origin;
const sandbox = new URL(admin).origin;
const profile = mkdtempSync(join(tmpdir(), 'portal-gateway-browser-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  viewport: { width: 1440, height: 900 },
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
const page = browser.pages()[0] ?? (await browser.newPage());
page.setDefaultTimeout(20_000);

const complaints = [];
const strangers = [];
// The browser's own word for a mail that may run no script: the clock of these tests is one.
const harmless = (text) => text.startsWith("Blocked script execution in 'about:srcdoc'");
page.on('console', (message) => message.type() === 'error' && !harmless(message.text()) && complaints.push(message.text()));
page.on('pageerror', (error) => complaints.push(String(error)));
browser.on('request', (request) => {
  const url = new URL(request.url());
  if (!['data:', 'blob:'].includes(url.protocol) && ![origin, sandbox].includes(url.origin)) strangers.push(request.url());
});
browser.on('response', (response) => response.status() >= 400 && complaints.push(`${response.status()} ${response.url()}`));

let passed = 0;
let failed = 0;
async function test(name, run) {
  try {
    await run();
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n        ${String(error.message ?? error).split('\n').join('\n        ')}`);
  }
  if (pictures) await page.screenshot({ path: join(pictures, `${passed + failed}.png`) });
}
function expect(condition, message) {
  if (!condition) throw new Error(message);
}

const answered = () => page.waitForResponse((response) => new URL(response.url()).pathname === '/graphql');
const resultText = async () => {
  const lines = page.locator('.graphiql-response .view-line');
  return (await lines.allInnerTexts()).join('\n').replaceAll(' ', ' ');
};
/** Runs the open tab and gives the response of the server. */
async function send() {
  const [response] = await Promise.all([answered(), page.locator('.graphiql-execute-button').click()]);
  return response;
}
const run = async () => (await send()).json();

// Time runs as always until a test moves it.
await page.clock.install();

await test('the page loads', async () => {
  await page.goto(`${origin}/graphiql`);
  await page.locator('.graphiql-query-editor .view-line').first().waitFor();
  expect((await page.title()).includes('GraphiQL'), await page.title());
});

await test('a demo customer is signed in, and the headers show the token', async () => {
  await page.locator('.session[data-signed-in*="@"]').waitFor();
  await page.getByText('Signed in as').waitFor();
  await page.locator('.graphiql-editor-tool .view-line', { hasText: 'Bearer' }).first().waitFor();
});

await test('an example tab runs and shows data of the customer', async () => {
  const answer = await run();
  expect(answer.data?.viewer && !answer.errors, JSON.stringify(answer).slice(0, 500));
  await page.locator('.graphiql-response .view-line', { hasText: '"viewer"' }).waitFor();
  expect((await resultText()).includes('"data"'), await resultText());
});

await test('every example tab runs', async () => {
  const tabs = page.locator('.graphiql-tab-button');
  const count = await tabs.count();
  expect(count >= 2, `${count} tabs`);
  for (let n = 0; n < count; n += 1) {
    await tabs.nth(n).click();
    await page.locator('.graphiql-editor-tool .view-line', { hasText: 'Bearer' }).first().waitFor();
    const answer = await run();
    expect(answer.data && !answer.errors, `${await tabs.nth(n).innerText()}: ${JSON.stringify(answer).slice(0, 500)}`);
  }
  await tabs.first().click();
});

await test('the documentation opens', async () => {
  await page.getByRole('button', { name: /Documentation Explorer/ }).click();
  await page.locator('.graphiql-doc-explorer-type-name').first().click();
  await page.locator('.graphiql-doc-explorer').getByText('viewer', { exact: true }).first().waitFor();
});

await test('the explorer opens and lists the fields of the query', async () => {
  await page.getByRole('button', { name: /GraphiQL Explorer/ }).click();
  await page.locator('.graphiql-explorer-root').getByText('viewer', { exact: true }).first().waitFor();
});

await test('the session is renewed before its token ends', async () => {
  const before = await send();
  // The token holds for ten minutes.
  await Promise.all([answered(), page.clock.fastForward('09:00')]);
  const token = (response) => response.request().headers().authorization;
  let after = await send();
  // The headers tab follows the answer in a moment.
  for (let n = 0; n < 10 && token(after) === token(before); n += 1) after = await send();
  expect(token(after)?.startsWith('Bearer ') && token(after) !== token(before), 'the token is the same');
  expect((await after.json()).data?.viewer, 'the new token is refused');
});

await test('every demo customer can be chosen', async () => {
  const select = page.getByLabel('Demo customer');
  const emails = await select.locator('option').evaluateAll((options) => options.map((option) => option.value));
  expect(emails.length === 3, emails.join());
  for (const email of [...emails.slice(1), emails[0]]) {
    await select.selectOption(email);
    await page.locator(`.session[data-signed-in="${email}"]`).waitFor();
    const { data } = await run();
    expect(data.viewer.profile.email === email, `${email}: ${JSON.stringify(data).slice(0, 300)}`);
  }
});

await test('signing out and in again changes the headers', async () => {
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('Not signed in').waitFor();
  const nobody = await run();
  expect(nobody.data?.viewer === null, JSON.stringify(nobody).slice(0, 300));
  await page.getByRole('button', { name: 'Sign in as demo' }).click();
  await page.locator('.session[data-signed-in*="@"]').waitFor();
  await page.locator('.graphiql-editor-tool .view-line', { hasText: 'Bearer' }).first().waitFor();
  const somebody = await run();
  expect(somebody.data?.viewer, JSON.stringify(somebody).slice(0, 300));
});

await test('a mail that was sent is listed in the mailbox, and opens as HTML and as text', async () => {
  const { data } = await run();
  const to = data.viewer.profile.email;
  const query = 'mutation ($email: String!) { passwordResetRequest(input: { email: $email }) { accepted } }';
  const body = { query, variables: { email: to } };
  const answer = await page.request.post(`${origin}/graphql`, { data: body });
  expect((await answer.json()).data?.passwordResetRequest?.accepted, await answer.text());
  await page.goto(`${sandbox}/mailbox`);
  const row = page.locator('tr', { hasText: to }).first();
  for (let n = 0; n < 50 && !(await row.count()); n += 1) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    await page.reload();
  }
  if (pictures) await page.screenshot({ path: join(pictures, 'mailbox.png') });
  await row.getByRole('link').click();
  const link = page.frameLocator('iframe').getByRole('link').first();
  await link.waitFor();
  const href = await link.getAttribute('href');
  expect(href.includes('/reset-password#token='), href);
  expect((await page.locator('pre').innerText()).includes('#token='), 'the text has no link');
});

await test('nothing was asked elsewhere and nothing complained', async () => {
  expect(strangers.length === 0, strangers.join('\n'));
  expect(complaints.length === 0, complaints.join('\n'));
});

await browser.close();
rmSync(profile, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
