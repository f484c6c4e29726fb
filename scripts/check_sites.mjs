// The browser's part of scripts/check-sites, which describes it.
//
// `proof` shows that faults of a page are found; `files` opens the sites in the folder CHECK_SITES, one folder each;
// `server` goes through the API of CHECK_SERVER.

import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { axe, launch, require, until } from './browser.mjs';

const { HtmlValidate } = require('html-validate');

const WIDTHS = [
    { name: 'desk', width: 1280, height: 900 },
    { name: 'phone', width: 390, height: 844, isMobile: true, hasTouch: true },
];
// As published sites have it; the same as in crates/features/sites/src/hosting.
const POLICY = "default-src 'none'; style-src 'self'; img-src 'self' https: data:; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const TYPES = { '.html': 'text/html; charset=utf-8', '.css': 'text/css', '.svg': 'image/svg+xml', '.webp': 'image/webp', '.woff2': 'font/woff2' };

const validator = new HtmlValidate({
    extends: ['html-validate:standard', 'html-validate:a11y'],
    rules: {
        // Matters of taste, on which the renderer is consistent.
        'void-style': 'off',
        'no-trailing-whitespace': 'off',
        'doctype-style': 'off',
        'attribute-boolean-style': 'off',
        'long-title': 'off',
        // Numbers as people write them; they are links to dial.
        'tel-non-breaking': 'off',
        // Titles of pages that customers write may be anything.
        'no-raw-characters': ['error', { relaxed: true }],
    },
});

const problems = [];
const counts = { pages: 0, views: 0, requests: 0, rules: 0 };

function report(where, what) {
    problems.push(`${where}: ${what}`);
    if (process.argv[2] !== 'proof') console.error(`  ${where}: ${what}`);
}

async function checkHtml(where, html) {
    const result = await validator.validateString(html, where);
    for (const { messages } of result.results) {
        for (const message of messages) report(where, `html ${message.line}:${message.column} ${message.message} (${message.ruleId})`);
    }
}

async function runAxe(page, where) {
    const { passes, faults } = await axe(page);
    counts.rules += passes;
    for (const fault of faults) report(where, fault);
}

// Opens an address at every width and checks what happens. `status` is what the server is to answer.
async function checkPage(browser, address, where, { status = 200, picture } = {}) {
    const own = new URL(address).origin;
    counts.pages += 1;
    let html = null;
    for (const width of WIDTHS) {
        const name = `${where} (${width.name})`;
        const page = await browser.newPage();
        await page.setViewport(width);
        await page.setCacheEnabled(false);
        page.on('console', (message) => {
            // The console also reports a missing page.
            if (status === 200 || !message.text().includes('status of 404')) report(name, `console ${message.type()}: ${message.text()}`);
        });
        page.on('pageerror', (error) => report(name, `script: ${error.message}`));
        page.on('request', (request) => {
            counts.requests += 1;
            const url = request.url();
            if (!url.startsWith('data:') && new URL(url).origin !== own) report(name, `request to another host: ${url}`);
        });
        page.on('response', (response) => {
            if (response.status() >= 400 && response.url() !== address) report(name, `${response.status()} for ${response.url()}`);
        });
        const answer = await page.goto(address, { waitUntil: 'load' });
        if (answer.status() !== status) report(name, `status ${answer.status()} instead of ${status}`);
        html ??= await answer.text();
        counts.views += 1;
        // Everything is checked, also what is loaded late or collapsed.
        await page.evaluate(() => {
            document.querySelectorAll('img[loading]').forEach((image) => image.removeAttribute('loading'));
            return Promise.all([...document.images].map((image) => image.complete || new Promise((done) => { image.onload = done; image.onerror = done; })));
        });
        if (picture) await takePictures(page, picture, width);
        await page.evaluate(() => document.querySelectorAll('.faq details').forEach((details) => { details.open = true; }));
        const layout = await page.evaluate(() => {
            const limit = document.documentElement.clientWidth;
            const scrolls = (element) => { for (let at = element; at; at = at.parentElement) if (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(at).overflowX)) return true; return false; };
            const wide = [...document.querySelectorAll('body *')].filter((element) => element.getBoundingClientRect().right > limit + 1 && !scrolls(element));
            return {
                overflow: document.documentElement.scrollWidth - limit,
                wide: wide.slice(0, 3).map((element) => `${element.tagName.toLowerCase()}.${element.className}`),
                broken: [...document.images].filter((image) => !image.naturalWidth).map((image) => image.src),
                still: document.getAnimations().length,
            };
        });
        if (layout.overflow > 0) report(name, `${layout.overflow} pixels wider than the screen: ${layout.wide.join(' ')}`);
        for (const source of layout.broken) report(name, `picture does not show: ${source}`);
        await runAxe(page, name);
        const menu = await page.$('.menu-narrow > summary');
        if (menu && await menu.isVisible()) {
            await menu.click();
            await page.waitForSelector('.menu-narrow nav a', { visible: true });
            await runAxe(page, `${name}, menu open`);
        }
        await page.close();
    }
    await checkHtml(where, html);
    return html;
}

async function takePictures(page, file, width) {
    await page.evaluate(() => window.scrollTo(0, 0));
    const desk = width.name === 'desk';
    const [height, scale] = desk ? [1600, 0.5] : [1000, 0.55];
    const clip = { x: 0, y: 0, width: width.width, height, scale };
    await page.screenshot({ path: `${file}-${width.name}.webp`, type: 'webp', quality: 72, clip, captureBeyondViewport: true });
}

// Serves the folders under `<name>.localhost`, with the headers of published sites.
function serve(folder) {
    const server = http.createServer((request, response) => {
        const name = request.headers.host.split('.')[0];
        const { pathname } = new URL(request.url, 'http://localhost');
        let file = path.join(folder, name, path.normalize(decodeURIComponent(pathname)));
        if (pathname.endsWith('/')) file = path.join(file, 'index.html');
        const found = fs.existsSync(file) && fs.statSync(file).isFile();
        const shown = found ? file : path.join(folder, name, '404.html');
        response.writeHead(found ? 200 : 404, {
            'content-type': TYPES[path.extname(shown)] ?? 'application/octet-stream',
            'content-security-policy': POLICY,
            'x-content-type-options': 'nosniff',
        });
        response.end(fs.readFileSync(shown));
    });
    return new Promise((ready) => server.listen(0, '127.0.0.1', () => ready(server)));
}

async function checkFiles(browser) {
    const folder = process.env.CHECK_SITES;
    const server = await serve(folder);
    const only = process.env.CHECK_ONLY;
    const pictures = process.env.CHECK_PICTURES;
    if (pictures) fs.mkdirSync(pictures, { recursive: true });
    const names = fs.readdirSync(folder).filter((name) => name.includes(only)).sort();
    for (const name of names) {
        console.error(name);
        const origin = `http://${name}.localhost:${server.address().port}`;
        const pages = fs.readdirSync(path.join(folder, name), { recursive: true }).filter((file) => path.basename(file) === 'index.html').sort();
        for (const page of pages) {
            const at = `/${page.slice(0, -'index.html'.length)}`;
            const picture = pictures && at === '/' ? path.join(pictures, name) : undefined;
            await checkPage(browser, origin + at, name + at, { picture });
        }
        await checkPage(browser, `${origin}/no-such-page/`, `${name}/no-such-page/`, { status: 404 });
    }
    server.close();
    if (!names.length) report('files', `no site has ${only} in its name`);
}

// A check without findings means something only if it finds known faults.
const BROKEN = `<!DOCTYPE html><html><head><title>Broken</title><link rel="stylesheet" href="/style.css"></head><body>
<main><h1 class="pale">Pale</h1><h4>Skipped</h4><form><input type="text"></form><script>alert(1)</script>
<img src="/none.png"><img alt="far" src="https://127.0.0.1:1/far.png"><p class="wide">wide</p><p id="a"></p><p id="a"><b>open</p></main></body></html>`;
const FAULTS = {
    'a message in the console': /console error/,
    'a script that may not run': /console error: .*(script|Script)/,
    'a picture that is not there': /404 for .*none\.png/,
    'a picture that does not show': /picture does not show/,
    'a request to another host': /request to another host: https:\/\/127\.0\.0\.1:1\//,
    'a page wider than the phone': /\(phone\): \d+ pixels wider than the screen/,
    'pale text': /axe color-contrast/,
    'a field without a label': /axe label/,
    'a picture without a text': /axe image-alt/,
    'a page without a language': /axe html-has-lang/,
    'a heading that is skipped': /heading-order|heading-level/,
    'an id that is there twice': /no-dup-id/,
    'a tag that is not closed': /close-order|element-permitted|no-implicit-close/,
};

async function checkProof(browser) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'check-sites-'));
    fs.mkdirSync(path.join(folder, 'broken'));
    fs.writeFileSync(path.join(folder, 'broken', 'index.html'), BROKEN);
    fs.writeFileSync(path.join(folder, 'broken', '404.html'), BROKEN);
    fs.writeFileSync(path.join(folder, 'broken', 'style.css'), '.pale { color: #ccc } .wide { width: 1200px }');
    const server = await serve(folder);
    await checkPage(browser, `http://broken.localhost:${server.address().port}/`, 'broken/');
    server.close();
    fs.rmSync(folder, { recursive: true });
    const found = problems.splice(0);
    for (const [fault, trace] of Object.entries(FAULTS)) {
        if (!found.some((problem) => trace.test(problem))) {
            problems.push(fault);
            console.error(`  not found: ${fault}`);
        }
    }
}

// A small client of the API, as one customer.
class Customer {
    token = null;

    async call(method, at, body) {
        const response = await fetch(`${process.env.CHECK_SERVER}/api/v1${at}`, {
            method,
            headers: { ...(this.token && { authorization: `Bearer ${this.token}` }), ...(body && { 'content-type': 'application/json' }) },
            body: body && JSON.stringify(body),
        });
        const text = await response.text();
        if (!response.ok) throw new Error(`${method} ${at} answered ${response.status}: ${text}`);
        return text ? JSON.parse(text) : null;
    }

    async register() {
        const email = 'visitor@example.com';
        const tokens = await this.call('POST', '/auth/register', { email, password: 'Fresh-Bread-1950', fullName: 'Ana Baker' });
        this.token = tokens.access_token;
        const link = await until('a verification mail', async () => {
            const answer = await fetch(`${process.env.CHECK_SERVER}/dev/mailbox?to=${encodeURIComponent(email)}`, { headers: { accept: 'application/json' } });
            const mails = (await answer.json()).items;
            return mails.map((mail) => /\/verify-email\?token=([A-Za-z0-9_-]+)/.exec(mail.text)).find(Boolean);
        });
        await this.call('POST', '/auth/verify-email', { token: link[1] });
    }
}

async function checkServer(browser) {
    const customer = new Customer();
    const { items: templates } = await customer.call('GET', '/templates?limit=100');
    if (templates.length < 14) report('GET /templates', `only ${templates.length} templates`);
    for (const template of templates.filter(({ slug }) => slug.includes(process.env.CHECK_ONLY))) {
        const { pages } = await customer.call('GET', `/templates/${template.id}`);
        for (const { key } of pages) {
            console.error(`preview of ${template.slug} ${key}`);
            await checkPage(browser, `${process.env.CHECK_SERVER}/api/v1/templates/${template.id}/preview?page=${key}`, `preview of ${template.slug} ${key}`);
        }
    }

    await customer.register();
    const template = templates.find(({ isPremium, industry }) => !isPremium && industry === 'bakery') ?? templates.find(({ isPremium }) => !isPremium);
    console.error(`a site by the wizard, from ${template.slug}`);
    const site = await byWizard(customer, template);
    await until('the deployment', async () => {
        const { status, error } = await customer.call('GET', `/sites/${site}/status`);
        if (status === 'failed') throw new Error(`the deployment failed: ${error}`);
        return status === 'live';
    });
    const { url } = await customer.call('GET', `/sites/${site}`);
    const port = new URL(process.env.CHECK_SERVER).port;
    const origin = `http://${new URL(url).hostname}:${port}`;
    const sitemap = await fetchAt(origin, port, '/sitemap.xml');
    const paths = [...sitemap.matchAll(/<loc>([^<]+)<\/loc>/g)].map((match) => new URL(match[1]).pathname);
    if (paths.length < 3) report(origin, `only ${paths.length} pages are in the sitemap`);
    for (const at of paths) await checkPage(browser, origin + at, `by wizard${at}`, { picture: at === '/' && process.env.CHECK_PICTURES ? path.join(process.env.CHECK_PICTURES, 'by-the-wizard') : undefined });
    await checkPage(browser, `${origin}/no-such-page/`, `by wizard/no-such-page/`, { status: 404 });
    await sendForm(browser, origin, paths);
}

// The eight steps, with texts generated in the background, and published at once. Returns the id of the site.
async function byWizard(customer, template) {
    const businessInfo = {
        name: 'Mill Lane Twelve', industry: 'bakery', location: 'Bristol', services: ['Sourdough', 'Rye', 'Cakes'],
        description: 'A small bakery that bakes through the night and opens at seven.',
    };
    const { id } = await customer.call('POST', '/wizard/start', { businessInfo });
    const wizard = `/wizard/${id}`;
    const { pages } = await customer.call('GET', `/templates/${template.id}`);
    await customer.call('POST', `${wizard}/template-selection`, { templateId: template.id });
    await customer.call('POST', `${wizard}/design-preferences`, { style: 'playful', colors: { primary: '#7a1f3d' } });
    await customer.call('PUT', wizard, {
        goals: { goals: ['orders'], audience: 'Families nearby', tone: 'friendly', language: 'en' },
        pages: [...pages.map(({ key }) => ({ key })), { title: 'Catering', purpose: 'Bread and cakes for parties' }],
        content: { mode: 'ai' },
        seo: { title: 'Mill Lane Twelve', email: 'hello@example.com', phone: '+44 117 496 0000', address: 'Mill Lane 12\nBristol' },
    });
    await customer.call('POST', `${wizard}/generate-content`);
    await until('the texts', async () => {
        const { status } = await customer.call('GET', `${wizard}/content-status`);
        if (status === 'failed') throw new Error('no texts were generated');
        return status === 'done';
    });
    const { siteId } = await customer.call('POST', `${wizard}/complete`, { deploy: true });
    return siteId;
}

// Fills the first contact form in and sends it, as a visitor does.
async function sendForm(browser, origin, paths) {
    const page = await browser.newPage();
    for (const at of paths) {
        await page.goto(origin + at);
        if (!await page.$('form[action^="/_forms/"]')) continue;
        await page.type('form [name=name]', 'Vera Visitor');
        await page.type('form [name=email]', 'vera@example.com');
        await page.type('form [name=message]', 'Do you bake on Sundays?');
        await Promise.all([page.waitForNavigation(), page.click('form button')]);
        const reached = new URL(page.url()).pathname;
        if (!reached.startsWith('/_forms/thanks')) report(`form on ${at}`, `leads to ${reached}`);
        return page.close();
    }
    report(origin, 'no page has a contact form');
    return page.close();
}

// Node does not resolve names below localhost; browsers do.
function fetchAt(origin, port, at) {
    return new Promise((done, failed) => {
        http.get({ host: '127.0.0.1', port, path: at, headers: { host: new URL(origin).host } }, (response) => {
            let text = '';
            response.on('data', (part) => { text += part; });
            response.on('end', () => done(text));
        }).on('error', failed);
    });
}

const browser = await launch();
try {
    await { proof: checkProof, files: checkFiles, server: checkServer }[process.argv[2]](browser);
} catch (error) {
    report(process.argv[2], error.stack);
} finally {
    await browser.close();
}
console.log(`${process.argv[2]}: ${counts.pages} pages, ${counts.views} views, ${counts.requests} requests, ${counts.rules} rules of axe-core passed, ${problems.length} problems`);
process.exitCode = problems.length ? 1 : 0;
