// See scripts/check-purchases.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import path from 'node:path';
import { axe, launch, until } from './browser.mjs';

const PASSWORD = 'Correct-Horse-7';
const WIDTHS = [
    { name: 'desk', width: 1280, height: 900 },
    { name: 'phone', width: 390, height: 844, isMobile: true, hasTouch: true },
];
const problems = [];
const counts = { steps: 0, views: 0, requests: 0, rules: 0 };

function report(where, what) {
    problems.push(`${where}: ${what}`);
    console.error(`  ${where}: ${what}`);
}

function expect(holds, what) {
    if (!holds) report('expected', what);
}

function step(words) {
    counts.steps += 1;
    console.log(words);
}

// The front end of the shop: what buyers come back to.
const shop = http.createServer((request, response) => {
    if (request.url === '/favicon.ico') return response.writeHead(204).end();
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
    return response.end('<!doctype html><html lang="en"><head><title>Shop</title></head><body><main><h1>Shop</h1></main></body></html>');
});
await new Promise((ready) => shop.listen(0, '127.0.0.1', ready));
const SHOP = `http://127.0.0.1:${shop.address().port}`;

const port = Number(process.env.PORTICO__SERVER__PORT) || await new Promise((found) => {
    const probe = http.createServer().listen(0, '127.0.0.1', () => {
        const { port: free } = probe.address();
        probe.close(() => found(free));
    });
});
const SERVER = `http://127.0.0.1:${port}`;
const settings = {
    ...process.env,
    RUST_LOG: 'warn',
    PORTICO__SERVER__PORT: String(port),
    PORTICO__RATE_LIMIT__ENABLED: 'false',
    PORTICO__SECURITY__ARGON2_MEMORY_KIB: '64',
    PORTICO__SECURITY__ARGON2_PASSES: '1',
    PORTICO__RECURRENTE__RETURN_URL: `${SHOP}/my-sites`,
};
const server = spawn(process.env.CHECK_PORTICO, [], { env: settings, stdio: ['ignore', 'ignore', 'inherit'] });
const ended = once(server, 'exit');
await until('the server', async () => {
    if (server.exitCode !== null) throw new Error('the server does not start');
    return (await fetch(`${SERVER}/api/health/ready`).catch(() => null))?.ok;
});

// A caller of the API. `call` answers the status and the body.
class Caller {
    token = null;

    async call(method, at, body) {
        const response = await fetch(`${SERVER}/api/v1${at}`, {
            method,
            headers: { ...(this.token && { authorization: `Bearer ${this.token}` }), ...(body && { 'content-type': 'application/json' }) },
            body: body && JSON.stringify(body),
        });
        const text = await response.text();
        return { status: response.status, body: text ? JSON.parse(text) : null };
    }

    async ask(method, at, body) {
        const { status, body: answer } = await this.call(method, at, body);
        if (status >= 400) throw new Error(`${method} ${at} answered ${status}: ${JSON.stringify(answer)}`);
        return answer;
    }

    async signIn(email, password) {
        this.token = (await this.ask('POST', '/auth/login', { email, password })).access_token;
        return this;
    }
}

// The link with this path in a mail to an address, as it is on the page of the mailbox.
function linkIn(email, at) {
    return until(`a mail to ${email} with ${at}`, async () => {
        const answer = await fetch(`${SERVER}/dev/mailbox?to=${encodeURIComponent(email)}`, { headers: { accept: 'application/json' } });
        const links = (await answer.json()).items.map(({ text }) => new RegExp(`https?://\\S*${at}\\S*`).exec(text)?.[0]);
        return links.find(Boolean);
    });
}

// Notes what a page must not do. `allowed` has the statuses that the console may tell of.
function watch(page, where, origins, allowed = []) {
    page.on('console', (message) => {
        const text = message.text();
        // Advice of the browser that nobody sees.
        if (message.type() === 'verbose') return;
        if (!allowed.some((status) => text.includes(`status of ${status} `))) report(where, `console ${message.type()}: ${text}`);
    });
    page.on('response', (response) => {
        if (response.status() >= 400 && !allowed.includes(response.status())) report(where, `${response.status()} for ${response.url()}`);
    });
    page.on('pageerror', (error) => report(where, `script: ${error.message}`));
    page.on('request', (request) => {
        counts.requests += 1;
        const url = request.url();
        if (!url.startsWith('data:') && !origins.includes(new URL(url).origin)) report(where, `request to another host: ${url}`);
    });
}

// Looks at what a page shows, at each width, and leaves it at the width of a desk.
async function look(page, where, picture) {
    for (const width of WIDTHS.toReversed()) {
        const name = `${where} (${width.name})`;
        await page.setViewport({ width: width.width, height: width.height });
        counts.views += 1;
        const wide = await page.evaluate(() => {
            const limit = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= limit) return null;
            const beyond = [...document.querySelectorAll('body *')].filter((element) => element.getBoundingClientRect().right > limit + 1);
            return `${document.documentElement.scrollWidth - limit} pixels wider than the screen: ${beyond.slice(0, 3).map(({ tagName }) => tagName.toLowerCase()).join(' ')}`;
        });
        if (wide) report(name, wide);
        const { passes, faults } = await axe(page);
        counts.rules += passes;
        for (const fault of faults) report(name, fault);
        if (process.env.CHECK_PICTURES && picture) {
            await page.screenshot({ path: path.join(process.env.CHECK_PICTURES, `${picture}-${width.name}.png`), fullPage: true });
        }
    }
}

// A check that finds nothing means something only if it finds known faults.
async function proof(browser) {
    const bad = http.createServer((_, response) => {
        response.writeHead(200, { 'content-type': 'text/html', 'content-security-policy': "script-src 'none'" });
        response.end('<!doctype html><title>Bad</title><p style="color:#ccc;width:2000px">pale<input><script>1</script><img src="http://127.0.0.1:1/x.png" alt="">');
    });
    await new Promise((ready) => bad.listen(0, '127.0.0.1', ready));
    const origin = `http://127.0.0.1:${bad.address().port}`;
    const page = await browser.newPage();
    const told = console.error;
    console.error = () => {};
    watch(page, 'bad', [origin]);
    await page.goto(origin);
    await look(page, 'bad');
    await page.close();
    console.error = told;
    bad.close();
    const found = problems.splice(0);
    for (const fault of [/console error: .*script/i, /request to another host/, /wider than the screen/, /axe color-contrast/, /axe label/]) {
        if (!found.some((problem) => fault.test(problem))) report('proof', `${fault} is not found`);
    }
    Object.assign(counts, { steps: 0, views: 0, requests: 0, rules: 0 });
}

const browser = await launch();

// A tab of somebody who is at the sandbox and in the shop.
async function tab(where, address, allowed) {
    const page = await browser.newPage();
    watch(page, where, [SERVER, SHOP], allowed);
    const answer = await page.goto(address, { waitUntil: 'load' });
    expect(answer.status() === 200, `${where}: ${address} answers ${answer.status()}`);
    return page;
}

// Clicks a button, and waits for the page that follows.
async function click(page, selector) {
    const [answer] = await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), page.click(selector)]);
    return answer;
}

const button = (action) => `button[name=action][value=${action}]`;
const act = (name) => `button[name=act][value=${name}]`;

async function payWith(page, card) {
    if (await page.$('#email')) await page.$eval('#email', (field) => { field.value = 'ana@example.com'; });
    await page.select('select[name=card]', card);
    return click(page, button('pay'));
}

const shows = (page, selector) => page.$eval(selector, (element) => element.textContent).catch(() => '');

// Somebody with an account and a proven address.
async function register() {
    const email = 'ana@example.com';
    const ana = new Caller();
    step(`${email} registers, and proves the address by the link in the mailbox`);
    ana.token = (await ana.ask('POST', '/auth/register', { email, password: PASSWORD, fullName: 'Ana Baker' })).access_token;
    const link = await linkIn(email, '/verify-email\\?token=');
    const page = await tab('mailbox', `${SERVER}/dev/mailbox?to=${encodeURIComponent(email)}`);
    await look(page, 'mailbox', 'mailbox');
    await page.goto(link);
    await look(page, 'address', 'address');
    await page.click('main button');
    await until('the address to be proven', async () => (await ana.ask('GET', '/profile')).emailVerified);
    await page.close();
    return ana;
}

async function order(caller) {
    const { sessionId, url } = await caller.ask('POST', '/checkout/create-session', {
        items: [{ productType: 'base_product', quantity: 1 }],
        successUrl: `${SHOP}/paid?session={CHECKOUT_SESSION_ID}`,
        cancelUrl: `${SHOP}/cart`,
    });
    const { items } = await caller.ask('GET', '/purchases');
    expect(items[0].status === 'pending', `a purchase that was begun is ${items[0].status}`);
    return { sessionId, url, id: items[0].id };
}

const purchase = (caller, id) => caller.ask('GET', `/purchases/${id}`);

async function completed(caller, id) {
    const done = await until('the webhook to complete the purchase', async () => {
        const found = await purchase(caller, id);
        return found.status === 'completed' && found;
    });
    expect(done.amount === 35900 && done.currency === 'usd', `${done.amount} ${done.currency} were paid`);
    expect(done.licenses?.length === 1 && /^[0-9A-Z]{4}(-[0-9A-Z]{4}){3}$/.test(done.licenses[0].key), `licenses ${JSON.stringify(done.licenses)}`);
    return done;
}

async function buyOnce(ana) {
    step('Base product: declined, window closed, and paid');
    const { sessionId, url, id } = await order(ana);
    const page = await tab('checkout', url, [402]);
    await look(page, 'checkout', 'checkout');
    expect((await shows(page, 'tfoot')).includes('359.00 USD'), 'the page does not show the total');
    const declined = await payWith(page, 'visa_chargeDeclined');
    expect(declined.status() === 402, `a decline answers ${declined.status()}`);
    expect(/declined/.test(await shows(page, '[role=alert]')), 'the page does not say that the card was declined');
    await look(page, 'checkout, declined', 'checkout-declined');
    expect((await purchase(ana, id)).status === 'pending', 'a decline ends the purchase');
    await click(page, button('close'));
    expect(page.url() === `${SHOP}/cart`, `closing leads to ${page.url()}`);
    expect((await purchase(ana, id)).status === 'pending', 'closing the window ends the purchase');
    await page.goto(url);
    await payWith(page, 'visa');
    expect(page.url() === `${SHOP}/paid?session=${sessionId}`, `paying leads to ${page.url()}`);
    const done = await completed(ana, id);
    const success = await ana.ask('POST', '/checkout/success', { sessionId });
    expect(success.id === id && success.status === 'completed', 'POST /checkout/success does not answer the purchase');
    await page.goto(url);
    expect(page.url() === `${SHOP}/paid?session=${sessionId}`, 'the page of a paid session does not lead back');
    await page.close();
    const owned = await ana.ask('GET', '/licenses');
    expect(owned.items.some((one) => one.id === done.licenses[0].id), 'the license is not in the list');
}

async function buyWithQuestion(ana) {
    step('Another one: the bank asks, no, and then yes');
    const { sessionId, url, id } = await order(ana);
    const page = await tab('3-D Secure', url, [402]);
    await payWith(page, 'threeDSecure2Required');
    expect(/bank asks/.test(await shows(page, 'main')), `the bank does not ask on ${page.url()}`);
    await look(page, '3-D Secure', 'three-d-secure');
    await click(page, button('fail'));
    expect((await shows(page, '[role=alert]')) !== '', 'a refused question is not told');
    expect((await purchase(ana, id)).status === 'pending', 'a refused question ends the purchase');
    await look(page, '3-D Secure, refused', 'three-d-secure-refused');
    await page.goto(url);
    await payWith(page, 'threeDSecure2Required');
    await click(page, button('confirm'));
    expect(page.url() === `${SHOP}/paid?session=${sessionId}`, `confirming leads to ${page.url()}`);
    await completed(ana, id);
    await page.close();
}

async function subscribe(ana) {
    step('A plan for the month, and an upgrade');
    const back = { successUrl: `${SHOP}/billing?paid=1`, cancelUrl: `${SHOP}/billing` };
    const { status, body } = await ana.call('POST', '/billing/upgrade', { plan: 'starter', ...back });
    expect(status === 202 && body.checkoutUrl, `the first upgrade answers ${status}`);
    const page = await tab('plan', body.checkoutUrl);
    await look(page, 'plan', 'plan');
    expect((await shows(page, 'tfoot')).includes('12.00 USD'), 'the page of a plan does not show what is due');
    await payWith(page, 'visa');
    expect(page.url() === back.successUrl, `subscribing leads to ${page.url()}`);
    await until('the plan', async () => {
        const now = await ana.ask('GET', '/billing/subscription');
        return now.plan === 'starter' && now.status === 'active';
    });
    const upgraded = await ana.call('POST', '/billing/upgrade', { plan: 'professional', ...back });
    expect(upgraded.status === 200 && upgraded.body.plan === 'professional', `an upgrade with a card on file answers ${upgraded.status}`);

    step('A card on file, the portal and an invoice');
    const { url } = await ana.ask('POST', '/billing/payment-methods', back);
    await page.goto(url);
    await look(page, 'card on file', 'card-on-file');
    await payWith(page, 'mastercard');
    expect(page.url() === back.successUrl, `a card leads to ${page.url()}`);
    const portal = await ana.ask('POST', '/billing/portal-session', { returnUrl: `${SHOP}/billing` });
    await page.goto(portal.url);
    await look(page, 'portal', 'portal');
    expect(/4444/.test(await shows(page, 'main')), 'the portal does not show the second card');
    await click(page, 'main ul a');
    await look(page, 'invoice', 'invoice');
    await page.close();
}

// A published site of staff that is for sale.
async function offer() {
    const email = 'root@example.com';
    execFileSync(process.env.CHECK_PORTICO, ['admin', 'create', '--email', email], { env: { ...settings, PORTICO_ADMIN_PASSWORD: PASSWORD }, stdio: 'ignore' });
    const root = await new Caller().signIn(email, PASSWORD);
    const tenant = (await root.ask('GET', '/profile')).activeTenantId;
    const site = await root.ask('POST', '/sites', { name: 'Panadería Luz', subdomain: 'panaderia-luz' });
    await root.ask('POST', `/tenants/${tenant}/pages?siteId=${site.id}`, { title: 'Inicio', status: 'published', isHome: true });
    await root.ask('POST', `/sites/${site.id}/deploy`);
    await until('the site', async () => (await root.ask('GET', `/sites/${site.id}/status`)).status === 'live');
    await root.ask('PUT', `/admin/sites/${site.id}/offer`, { amount: 150_000, currency: 'gtq' });
    return site;
}

async function buySite() {
    step('A site, by somebody without an account: declined, a transfer that does not arrive, and a card');
    const site = await offer();
    const visitor = new Caller();
    const email = 'vera@example.com';
    const made = await visitor.ask('POST', '/sites/panaderia-luz/purchase', { email, fullName: 'Vera Buyer' });
    const page = await tab('site', made.checkoutUrl);
    await look(page, 'site', 'site');
    await click(page, act('decline'));
    await click(page, act('transfer'));
    await look(page, 'site, transfer', 'site-transfer');
    await click(page, act('transfer_fails'));
    const other = await visitor.call('POST', '/sites/panaderia-luz/purchase', { email: 'eve@example.com', fullName: 'Eve' });
    expect(other.status === 409 && other.body.code === 'site_reserved', `somebody else gets ${other.status} while the page can be paid`);
    await click(page, act('pay'));
    expect(/Paid\./.test(await shows(page, '[role=status]')), 'the page does not say that it is paid');
    await look(page, 'site, paid', 'site-paid');
    await click(page, 'main p a');
    expect(page.url().startsWith(`${SHOP}/my-sites?`) && page.url().includes('result=paid'), `the way back leads to ${page.url()}`);

    step('The mail to the buyer leads to a password, and the site is theirs');
    await page.goto(await linkIn(email, 'token='));
    await look(page, 'new password', 'new-password');
    await page.type('#password', 'Fresh-Bread-1950');
    await page.click('button[type=submit]');
    await until('the password to be changed', async () => /password is changed/.test(await shows(page, '[role=status]')));
    await visitor.signIn(email, 'Fresh-Bread-1950');
    const owned = await until('the site', async () => {
        const { items } = await visitor.ask('GET', '/sites');
        return items.length > 0 && items;
    });
    expect(owned.length === 1 && owned[0].url === site.url, `the buyer has ${JSON.stringify(owned.map(({ url }) => url))}`);
    await page.close();
    const sold = await visitor.call('GET', '/offers/panaderia-luz');
    expect(sold.status === 404, `a sold site is still on offer: ${sold.status}`);
}

async function lookAtSandbox() {
    step('The list of payments, and the clock');
    const page = await tab('payments', `${SERVER}/dev/payments`);
    await look(page, 'payments', 'payments');
    const before = await shows(page, 'time');
    await click(page, 'button[name=advance][value="1d"]');
    expect((await shows(page, 'time')) > before, 'the clock does not move');
    await page.close();
}

try {
    await proof(browser);
    const ana = await register();
    await buyOnce(ana);
    await buyWithQuestion(ana);
    await subscribe(ana);
    await buySite();
    await lookAtSandbox();
} catch (error) {
    report('stopped', error.stack);
} finally {
    await browser.close();
    server.kill('SIGTERM');
    await ended;
    shop.close();
}
console.log(`${counts.steps} steps, ${counts.views} views, ${counts.requests} requests, ${counts.rules} rules of axe-core passed, ${problems.length} problems`);
process.exit(problems.length ? 1 : 0);
