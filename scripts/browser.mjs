// A browser for checks, and axe-core in it. CHECK_TOOLS is the folder with the packages, CHROMIUM the program.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

export const require = createRequire(path.join(process.env.CHECK_TOOLS, 'index.js'));
const puppeteer = require('puppeteer-core');
const axeSource = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

// A browser that asks nobody but the pages it is sent to.
export function launch() {
    return puppeteer.launch({
        executablePath: process.env.CHROMIUM,
        headless: true,
        args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
}

// What axe-core finds on a page: the number of rules that are kept, and a line for each place where one is not.
export async function axe(page) {
    await page.evaluate(axeSource);
    const found = await page.evaluate(async (rules) => {
        const result = await window.axe.run(document, { runOnly: { type: 'tag', values: rules }, resultTypes: ['violations', 'incomplete'] });
        const nodes = (list) => list.map((rule) => ({ id: rule.id, nodes: rule.nodes.map((node) => ({ html: node.html, why: node.failureSummary })) }));
        return { violations: nodes(result.violations), passes: result.passes.length };
    }, RULES);
    const line = (rule, node) => `axe ${rule.id}: ${node.html.slice(0, 160)} ${node.why.replace(/\s+/g, ' ').slice(0, 300)}`;
    return { passes: found.passes, faults: found.violations.flatMap((rule) => rule.nodes.slice(0, 3).map((node) => line(rule, node))) };
}

export async function until(what, ask) {
    for (let attempt = 0; attempt < 150; attempt += 1) {
        const answer = await ask();
        if (answer) return answer;
        await new Promise((done) => setTimeout(done, 200));
    }
    throw new Error(`waited too long for ${what}`);
}
