// What scripts/check-clients has the client in TypeScript do. Compiled with `tsc --strict`, so it also shows what the types ask for.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

function check(holds: boolean, what: string): asserts holds {
    if (!holds) throw new Error(what);
}

const baseUrl = process.argv[2]!;
const email = "typescript@example.com";
const password = "Correct-Horse-7";
const visitor = createClient<paths>({ baseUrl });

const registered = await visitor.POST("/api/v1/auth/register", { body: { email, password, fullName: "Ada Lovelace" } });
check(registered.response.status === 201, `register: ${registered.response.status}`);

const refused = await visitor.POST("/api/v1/auth/login", { body: { email, password: "Wrong-Horse-7" } });
const problem: components["schemas"]["Problem"] | undefined = refused.error;
const code: components["schemas"]["ProblemCode"] | undefined = problem?.code;
check(code === "invalid_credentials", `wrong password: ${code}`);

const tokens = await visitor.POST("/api/v1/auth/login", { body: { email, password } });
check(tokens.data !== undefined, `login: ${tokens.error?.detail}`);
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${tokens.data.access_token}` } });

// Optional fields need not be there: `look`, `subdomain`.
const made = await client.POST("/api/v1/sites", {
    body: { name: "Bäckerei Licht" },
    headers: { "Idempotency-Key": "typescript-1" },
});
check(made.data !== undefined, `create: ${made.error?.detail}`);
check(made.response.headers.get("x-ratelimit-limit") !== null, "no X-RateLimit-Limit");

const renamed = await client.PATCH("/api/v1/sites/{siteId}", {
    params: { path: { siteId: made.data.id } },
    body: { name: "Bäckerei Sonne" },
});
check(renamed.data?.name === "Bäckerei Sonne", `update: ${renamed.error?.detail}`);

for (const name of ["One", "Two"]) await client.POST("/api/v1/wizard/start", { body: { businessInfo: { name, industry: "bakery" } } });
const first = await client.GET("/api/v1/wizard", { params: { query: { limit: 1 } } });
check(first.data?.total === 2 && first.data.items.length === 1, `list: ${JSON.stringify(first.error ?? first.data)}`);
check(first.response.headers.get("link")?.includes('rel="next"') === true, "the list has no link to the next page");

const sites = await client.GET("/api/v1/sites", { params: { query: { q: "sonne", sort: "-createdAt" } } });
check(sites.data?.items.some((site) => site.id === made.data.id) === true, `list: ${sites.error?.detail}`);

const wrong = await client.POST("/api/v1/sites", { body: { name: "" } });
check(wrong.error?.errors?.[0]?.field === "name", `invalid: ${JSON.stringify(wrong.error)}`);
